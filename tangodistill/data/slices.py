"""Slices of rows that hang together with none outside, each with its share of every class."""

import numpy as np

SLICE_FRACTION = 0.1
SLICE_MAXIMUM = 2_000


def slice_size(rows: int) -> int:
    """Rows of a slice cut from a split: 10 %, at most 2,000.

    >>> slice_size(4_370), slice_size(87_599)
    (437, 2000)
    """
    return min(SLICE_MAXIMUM, max(1, round(SLICE_FRACTION * rows)))


def cut_slices(
    groups: np.ndarray, classes: np.ndarray, num_classes: int, slices: int, seed: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut slices of whole groups, in random order as long as they fit; a slice or the rest may come out empty.

    Args:
        groups: (n,) equal numbers for rows that stay together.
        classes: (n,) class ids below num_classes, whose shares the slices keep.

    Returns:
        Rows of each slice, and those that are left, each in order.
    """
    size = slice_size(len(groups))
    # groups larger than a slice stay in train; where they leave little, the slices share it
    counts = np.unique(groups, return_counts=True)[1]
    free = counts[counts <= size].sum()
    quota = _quota(classes, min(size, free // slices), num_classes)
    side = np.full(len(groups), slices)
    rng = np.random.default_rng(seed)
    for number in range(slices):
        side[_fill(np.flatnonzero(side == slices), groups, classes, quota, rng)] = number
    *rows, rest = (np.flatnonzero(side == number) for number in range(slices + 1))
    return rows, rest


def _quota(classes: np.ndarray, size: int, num_classes: int) -> np.ndarray:
    """Rows per class, (num_classes,): proportional, the largest remainders rounded up so that they sum to size."""
    exact = np.bincount(classes, minlength=num_classes) * size / len(classes)
    quota = exact.astype(np.int64)
    quota[np.argsort(quota - exact, kind="stable")[: size - quota.sum()]] += 1
    return quota


def _fill(
    rows: np.ndarray, groups: np.ndarray, classes: np.ndarray, quota: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Take whole groups in random order as long as each class has room for them."""
    order = np.argsort(groups[rows], kind="stable")
    members = np.split(rows[order], np.flatnonzero(np.diff(groups[rows][order])) + 1)
    room, taken = quota.copy(), []
    for number in rng.permutation(len(members)):
        need = np.bincount(classes[members[number]], minlength=len(room))
        if (need <= room).all():
            room -= need
            taken.append(members[number])
            if not room.any():
                break
    return np.concatenate(taken) if taken else np.empty(0, np.int64)

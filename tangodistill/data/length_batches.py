"""Which texts go into a batch together: those of similar, or of exactly one, length."""

import numpy as np


def length_batches(lengths: np.ndarray, batch_size: int, exact: bool = False) -> list[np.ndarray]:
    """Batches of indices in order of length, so that little or (exact) nothing is padded.

    Args:
        lengths: (n,) tokens per text.
        batch_size: texts per batch at most.
        exact: every batch holds texts of one length only.

    >>> [batch.tolist() for batch in length_batches(np.array([3, 1, 3, 1, 2]), 2)]
    [[1, 3], [4, 0], [2]]
    >>> [batch.tolist() for batch in length_batches(np.array([3, 1, 3, 1, 2]), 2, exact=True)]
    [[1, 3], [4], [0, 2]]
    """
    return _cut(np.argsort(lengths, kind="stable"), lengths, batch_size, exact)


def tokens_per_text(lengths: np.ndarray, batch_size: int, exact: bool = False) -> float:
    """What a text costs in such batches: mean tokens that the model runs, padding included.

    >>> tokens_per_text(np.array([3, 1, 3, 1, 2]), 2)
    2.2
    """
    batches = length_batches(lengths, batch_size, exact)
    return float(sum(len(rows) * lengths[rows].max() for rows in batches) / len(lengths))


def shuffled_length_batches(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int, exact: bool = False
) -> list[np.ndarray]:
    """One epoch's batches: similar lengths together, everything else random; the same for the same seed and epoch.

    Shuffled texts are sorted by length inside mega-batches of 50 batches, cut, and the batches shuffled. Exact batches
    sort all texts at once: each length leaves one partial batch.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    mega = max(len(order), 1) if exact else 50 * batch_size
    batches = []
    for start in range(0, len(order), mega):
        part = order[start : start + mega]
        batches += _cut(part[np.argsort(lengths[part], kind="stable")], lengths, batch_size, exact)
    return [batches[index] for index in random.permutation(len(batches))]


def _cut(order: np.ndarray, lengths: np.ndarray, batch_size: int, exact: bool) -> list[np.ndarray]:
    """Consecutive pieces of a length-sorted order."""
    runs = np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1) if exact else [order]
    return [run[start : start + batch_size] for run in runs for start in range(0, len(run), batch_size)]

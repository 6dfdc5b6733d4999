"""The four roles of labelled data: train, selection, calibration, report; no held-out text is trained on."""

import warnings
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from tangodistill.data.grouping import pair_groups, text_groups
from tangodistill.data.leaks import LeakGuard, normalise
from tangodistill.data.sources import DatasetConfig, LabelledData, load_labelled
from tangodistill.tasks import Task
from tangodistill.user_error import UserError

__all__ = ["LeakGuard", "Roles", "assign_roles", "load_roles", "normalise"]

SLICE_FRACTION = 0.1
SLICE_MAXIMUM = 2_000
FEW_EXAMPLES = 20
HELD_OUT = ("selection", "calibration", "report")


@dataclass
class Roles:
    """Labelled data by what it is used for.

    train fits the models; selection picks checkpoints; calibration sets thresholds; report gives the published number.
    """

    task: Task
    train: Dataset
    selection: Dataset
    calibration: Dataset
    report: Dataset
    files: dict[str, str]
    """Role: where it comes from, and its rows."""
    dropped: dict[str, int]
    """Held-out role: training rows dropped because they equal one of its texts (or pairs)."""
    warnings: list[str]

    def leak_guard(self) -> LeakGuard:
        """The guard of all three held-out roles, for transfer sets."""
        roles = [getattr(self, role) for role in HELD_OUT]
        pairs = [text for role in roles for text in role["text_pair"]] if self.task.is_pair else None
        return LeakGuard([text for role in roles for text in role["text"]], pairs)


def load_roles(config: DatasetConfig) -> Roles:
    """Read a data set and assign its roles; what looks doubtful is warned of.

    Raises:
        UserError: anything that is wrong with the configuration or the data.
    """
    roles = assign_roles(load_labelled(config), config.seed)
    for message in roles.warnings:
        warnings.warn(message, stacklevel=2)
    return roles


def assign_roles(data: LabelledData, seed: int = 0) -> Roles:
    """Give each split a role, and cut the roles that are left from the training split.

    A published task is reported on its labelled test split, with the validation split as calibration role; without
    one on its validation split. An own table's validation and test splits are the selection and report roles.
    A slice is 10 % of the training split, at most 2,000 rows, stratified by label; rows whose texts belong together
    stay on one side.

    Raises:
        UserError: the training split is too small, or too entangled, to be cut.
    """
    given = _given_roles(data)
    held_out = {role: data.splits[split] for role, split in given.items()}
    files = {role: data.files[split] for role, split in given.items()}
    train, dropped = _drop_leaks(data.splits["train"], held_out)
    missing = [role for role in reversed(HELD_OUT) if role not in held_out]
    messages = []
    if missing:
        slices, rest = _cut(train, len(missing), seed, data)
        for role, rows in zip(missing, slices, strict=True):
            held_out[role] = train.select(rows)
            files[role] = f"slice of {data.files['train']}"
            if 2 * len(rows) < _slice_size(len(train)):
                messages.append(
                    f"The {role} role has {len(rows):,} rows instead of {_slice_size(len(train)):,}: most training "
                    "rows hang together by shared texts."
                )
        train = train.select(rest)
    files["train"] = f"{data.files['train']} without the slices" if missing else data.files["train"]
    messages += _few_examples(train, data.task)
    sizes = {role: len(rows) for role, rows in {"train": train, **held_out}.items()}
    return Roles(
        task=data.task,
        train=train,
        **held_out,
        files={role: f"{files[role]}, {sizes[role]:,} rows" for role in ("train", *HELD_OUT)},
        dropped=dropped,
        warnings=messages,
    )


def _given_roles(data: LabelledData) -> dict[str, str]:
    """Role: the split that has it as it is."""
    if data.task.name == "custom":
        roles = {"selection": "validation", "report": "test"}
    elif "test" in data.splits:
        roles = {"calibration": "validation", "report": "test"}
    else:
        roles = {"report": "validation"}
    return {role: split for role, split in roles.items() if split in data.splits}


def _drop_leaks(train: Dataset, held_out: dict[str, Dataset]) -> tuple[Dataset, dict[str, int]]:
    """Training rows that equal no held-out one.

    Done before slices are cut, so that these hold no row of another role; and they are cut by groups of equal rows,
    so that none of theirs stays behind.

    Raises:
        UserError: nothing is left.
    """
    keep = np.ones(len(train), dtype=bool)
    dropped = dict.fromkeys(HELD_OUT, 0)
    texts, pairs = _texts(train)
    for role, rows in held_out.items():
        leaks = keep & LeakGuard(*_texts(rows)).leaks(texts, pairs)
        dropped[role] = int(leaks.sum())
        keep &= ~leaks
    if not keep.any():
        raise UserError(
            "Every training row equals a row of the validation or test split; give splits that differ "
            "(dataset.source, dataset.validation, dataset.test)."
        )
    return train.select(np.flatnonzero(keep)), dropped


def _cut(train: Dataset, slices: int, seed: int, data: LabelledData) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows of each slice, and those that are left, each in the training split's order."""
    texts, pairs = _texts(train)
    groups = text_groups(texts) if pairs is None else pair_groups(texts, pairs)
    labels = np.array(train["label"][:], dtype=np.int64)
    size = _slice_size(len(train))
    # groups larger than a slice stay in train; where they leave little, the slices share it
    counts = np.unique(groups, return_counts=True)[1]
    free = counts[counts <= size].sum()
    quota = _quota(labels, min(size, free // slices), len(data.task.label_names))
    side = np.full(len(train), slices)
    rng = np.random.default_rng(seed)
    for number in range(slices):
        side[_fill(np.flatnonzero(side == slices), groups, labels, quota, rng)] = number
    rows = [np.flatnonzero(side == number) for number in range(slices + 1)]
    if not all(map(len, rows)) or len(np.unique(labels[rows[-1]])) < 2:
        raise UserError(
            f"{data.files['train']}: {len(train):,} rows cannot be cut into roles (too few, or tied together by "
            "shared texts); give more rows, or dataset.validation and dataset.test."
        )
    return rows[:-1], rows[-1]


def _slice_size(rows: int) -> int:
    return min(SLICE_MAXIMUM, max(1, round(SLICE_FRACTION * rows)))


def _quota(labels: np.ndarray, size: int, classes: int) -> np.ndarray:
    """Rows per class, (classes,): proportional, the largest remainders rounded up so that they sum to size."""
    exact = np.bincount(labels, minlength=classes) * size / len(labels)
    quota = exact.astype(np.int64)
    quota[np.argsort(quota - exact, kind="stable")[: size - quota.sum()]] += 1
    return quota


def _fill(
    rows: np.ndarray, groups: np.ndarray, labels: np.ndarray, quota: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Take whole groups in random order as long as each class has room for them."""
    order = np.argsort(groups[rows], kind="stable")
    members = np.split(rows[order], np.flatnonzero(np.diff(groups[rows][order])) + 1)
    room, taken = quota.copy(), []
    for number in rng.permutation(len(members)):
        need = np.bincount(labels[members[number]], minlength=len(room))
        if (need <= room).all():
            room -= need
            taken.append(members[number])
            if not room.any():
                break
    return np.concatenate(taken) if taken else np.empty(0, np.int64)


def _few_examples(train: Dataset, task: Task) -> list[str]:
    counts = np.bincount(np.array(train["label"][:], dtype=np.int64), minlength=len(task.label_names))
    few = [f"'{name}' ({count})" for name, count in zip(task.label_names, counts, strict=True) if count < FEW_EXAMPLES]
    if not few:
        return []
    return [f"Fewer than {FEW_EXAMPLES} training examples of: {', '.join(few)}; expect poor answers there."]


def _texts(rows: Dataset) -> tuple[list[str], list[str] | None]:
    return rows["text"][:], rows["text_pair"][:] if "text_pair" in rows.column_names else None

"""The four roles of labelled data: train, selection, calibration, report; no held-out text is trained on."""

import warnings
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from tangodistill.data.grouping import FEWEST_ARTICLES, context_groups, pair_groups, text_groups
from tangodistill.data.leaks import LeakGuard, normalise
from tangodistill.data.slices import cut_slices, slice_size
from tangodistill.data.sources import DatasetConfig, LabelledData, load_labelled
from tangodistill.progress import Progress
from tangodistill.tasks import Task
from tangodistill.user_error import UserError

__all__ = ["LeakGuard", "Roles", "assign_roles", "load_roles", "normalise"]

FEW_EXAMPLES = 20
HELD_OUT = ("selection", "calibration", "report")


@dataclass
class Roles:
    """Labelled data by what it is used for.

    train fits the models; selection picks checkpoints, engines, formats and length configurations; calibration sets
    thresholds, and nothing else is chosen on it; report gives the published number.
    """

    task: Task
    train: Dataset
    selection: Dataset
    calibration: Dataset
    report: Dataset
    files: dict[str, str]
    """Role: where it comes from, and its rows."""
    dropped: dict[str, int]
    """Held-out role: training rows dropped because they equal one of its texts, or pairs; of spans, its contexts."""
    warnings: list[str]

    def groups(self, role: str) -> np.ndarray:
        """(n,) equal numbers for the rows of a role that are not independent of one another.

        They hold one another's texts, or share one; or they are questions of one article, or of articles that share a
        context, however few the articles.
        """
        rows = getattr(self, role)
        if self.task.kind == "spans":
            return pair_groups(rows["article"][:], rows["text_pair"][:])
        return _groups(rows, self.task)

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
    with Progress("read the data"):
        roles = assign_roles(load_labelled(config), config.seed)
    for message in roles.warnings:
        warnings.warn(message, stacklevel=2)
    return roles


def assign_roles(data: LabelledData, seed: int = 0) -> Roles:
    """Give each split a role, and cut the roles that are left from the training split.

    A published task is reported on its labelled test split, with the validation split as calibration role; without
    one on its validation split. An own table's validation and test splits are the selection and report roles.
    A slice is 10 % of the training split, at most 2,000 rows, stratified by label; rows whose texts belong together
    stay on one side, and so do all questions of an article.

    Raises:
        UserError: the training split is too small, or too entangled, to be cut.
    """
    given = _given_roles(data)
    held_out = {role: data.splits[split] for role, split in given.items()}
    files = {role: data.files[split] for role, split in given.items()}
    train, dropped = _drop_leaks(data.splits["train"], held_out, data.task)
    missing = [role for role in reversed(HELD_OUT) if role not in held_out]
    messages = []
    if missing:
        slices, rest = _cut(train, len(missing), seed, data)
        for role, rows in zip(missing, slices, strict=True):
            held_out[role] = train.select(rows)
            files[role] = f"slice of {data.files['train']}"
            if 2 * len(rows) < slice_size(len(train)):
                messages.append(
                    f"The {role} role has {len(rows):,} rows instead of {slice_size(len(train)):,}: most training "
                    "rows hang together by shared texts."
                )
        if data.task.kind == "spans":
            messages += _few_articles(train, data.files["train"])
        train = train.select(rest)
    files["train"] = f"{data.files['train']} without the slices" if missing else data.files["train"]
    if data.task.kind == "classification":
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


def _drop_leaks(train: Dataset, held_out: dict[str, Dataset], task: Task) -> tuple[Dataset, dict[str, int]]:
    """Training rows that equal no held-out one; of spans, those whose context no held-out one shares.

    Done before slices are cut, so that these hold no row of another role; and they are cut by groups of equal rows,
    so that none of theirs stays behind.

    Raises:
        UserError: nothing is left.
    """
    keep = np.ones(len(train), dtype=bool)
    dropped = dict.fromkeys(HELD_OUT, 0)
    guarded = _contexts if task.kind == "spans" else _texts
    texts, pairs = guarded(train)
    for role, rows in held_out.items():
        leaks = keep & LeakGuard(*guarded(rows)).leaks(texts, pairs)
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
    classes, num_classes = _classes(train, data.task)
    rows, rest = cut_slices(_groups(train, data.task), classes, num_classes, slices, seed)
    if not all(map(len, [*rows, rest])) or len(np.unique(classes[rest])) < min(2, num_classes):
        raise UserError(
            f"{data.files['train']}: {len(train):,} rows cannot be cut into roles (too few, or tied together by "
            "shared texts); give more rows, or dataset.validation and dataset.test."
        )
    return rows, rest


def _groups(train: Dataset, task: Task) -> np.ndarray:
    """(n,) equal numbers for rows that belong on one side of a cut."""
    texts, pairs = _texts(train)
    if task.kind == "spans":
        return context_groups(train["article"][:], pairs)
    return text_groups(texts) if pairs is None else pair_groups(texts, pairs)


def _classes(train: Dataset, task: Task) -> tuple[np.ndarray, int]:
    """(n,) class ids, and how many classes there are; questions are all of one."""
    if task.kind == "spans":
        return np.zeros(len(train), np.int64), 1
    return np.array(train["label"][:], dtype=np.int64), len(task.label_names)


def _few_examples(train: Dataset, task: Task) -> list[str]:
    classes, num_classes = _classes(train, task)
    counts = np.bincount(classes, minlength=num_classes)
    few = [f"'{name}' ({count})" for name, count in zip(task.label_names, counts, strict=True) if count < FEW_EXAMPLES]
    if not few:
        return []
    return [f"Fewer than {FEW_EXAMPLES} training examples of: {', '.join(few)}; expect poor answers there."]


def _few_articles(train: Dataset, origin: str) -> list[str]:
    if (count := len(set(train["article"]))) >= FEWEST_ARTICLES:
        return []
    return [
        f"{origin} has fewer than {FEWEST_ARTICLES} articles ({count}): slices are cut by paragraph, so that held-out "
        "questions may be of an article that was trained on."
    ]


def _texts(rows: Dataset) -> tuple[list[str], list[str] | None]:
    return rows["text"][:], rows["text_pair"][:] if "text_pair" in rows.column_names else None


def _contexts(rows: Dataset) -> tuple[list[str], None]:
    return rows["text_pair"][:], None

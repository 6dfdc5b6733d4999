"""What becomes of each class: how often it is found, what it is taken for, and how much of it is deferred."""

import numpy as np

from tangodistill.cascade.intervals import count_interval
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.report.figures import data_name
from tangodistill.report.markup import NONE, details, hundredfold, paragraph, percent, plain, table, within
from tangodistill.report.run_files import Measured

MOST = 12
"""Classes of a confusion table; of more, the pairs that are confused most often are shown."""


def class_tables(measured: Measured) -> str:
    """Scores and deferred share of each class, and both tiers' confusions; empty where answers are no labels."""
    outcomes = measured.outcomes
    if not isinstance(outcomes, ClassOutcomes):
        return ""
    deferred = measured.predictions["confidence"].to_numpy() < np.float32(measured.summary["chosen"]["threshold"])
    cascade = outcomes.cascade(deferred).answers[0]
    tiers = {"teacher": outcomes.answers[1], "student": outcomes.answers[0]}
    return (
        _score_table(measured, outcomes.labels, {**tiers, "cascade": cascade}, deferred)
        + paragraph(
            "Found: the share of a class’s examples that get its label (recall), with its 95 % interval. Right: the "
            "share of the answers with that label that are right (precision). F1, ×100, is of both.",
            "note",
        )
        + "".join(_confusions(measured, name, outcomes.labels, answers) for name, answers in tiers.items())
    )


def _score_table(measured: Measured, labels: np.ndarray, answers: dict[str, np.ndarray], deferred: np.ndarray) -> str:
    rows = []
    for number, name in enumerate(measured.summary["label_names"]):
        own = labels == number
        found = [_share(int((given[own] == number).sum()), int(own.sum())) for given in answers.values()]
        right = [_precision(labels, given, number) for given in answers.values()]
        f1 = [hundredfold(_f1(labels, given, number)) for given in answers.values()]
        sent_on = _share(int(deferred[own].sum()), int(own.sum()))
        rows.append([name, plain(int(own.sum())), sent_on, *found, *right, *f1])
    kinds = [f"{what}, {who}" for what in ("found", "right", "F1") for who in answers]
    caption = f"Each class; {data_name(measured.summary)}"
    return table(caption, ["", "examples", "deferred", *kinds], rows)


def _confusions(measured: Measured, tier: str, labels: np.ndarray, answers: np.ndarray) -> str:
    names = measured.summary["label_names"]
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, answers), 1)
    caption = f"What the {tier} takes each class for; {data_name(measured.summary)}"
    if len(names) <= MOST:
        rows = [[name, *(f"{count:,}" for count in row)] for name, row in zip(names, counts, strict=True)]
        shown = table(caption, ["is ↓, taken for →", *names], rows, "matrix")
    else:
        wrong = np.where(np.eye(len(names), dtype=bool), 0, counts)
        pairs = [divmod(int(at), len(names)) for at in np.argsort(-wrong, axis=None, kind="stable")[: 2 * MOST]]
        rows = [[f"{names[i]} → {names[j]}", f"{wrong[i, j]:,}"] for i, j in pairs if wrong[i, j]]
        shown = table(f"{caption}: the most frequent mistakes", ["is → taken for", "examples"], rows)
    return details(f"Confusion matrix of the {tier}", shown)


def _share(count: int, of: int) -> str:
    return within(percent(count / of), count_interval(count, of), percent) if of else NONE


def _precision(labels: np.ndarray, answers: np.ndarray, number: int) -> str:
    given = answers == number
    return percent(float((labels[given] == number).mean())) if given.any() else NONE


def _f1(labels: np.ndarray, answers: np.ndarray, number: int) -> float:
    size = (labels == number).sum() + (answers == number).sum()
    return float(2 * ((labels == number) & (answers == number)).sum() / max(size, 1))

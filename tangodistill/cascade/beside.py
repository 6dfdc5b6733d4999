"""The report examples of a DeeBERT, and of a Dynamic-TinyBERT by itself, as curves of metric against speedup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.exits import exit_points
from tangodistill.cascade.outcomes import GRADES, ClassOutcomes, GradedOutcomes, Outcomes
from tangodistill.metrics import class_counts, positive_last, scores_from_counts

Curve = tuple[np.ndarray, np.ndarray]
"""Speedup over the last tier alone at batch 1, and the metric, each (points,)."""


@dataclass(frozen=True)
class ExitExamples:
    """What a DeeBERT's exits made of n examples; arrays as `exit_points` takes them."""

    labels: np.ndarray
    answers: np.ndarray
    entropies: np.ndarray
    seconds: np.ndarray
    second_s: np.ndarray
    """(n,) through the last tier alone."""
    num_classes: int

    def drawn(self, rows: np.ndarray) -> ExitExamples:
        arrays = (self.labels, self.answers, self.entropies, self.seconds, self.second_s)
        return ExitExamples(*(array[rows] for array in arrays), self.num_classes)

    def curve(self, metric: str) -> Curve:
        arrays = (self.labels, self.answers, self.entropies, self.seconds)
        points = exit_points(*arrays, float(self.second_s.sum()), self.num_classes)
        return points["speedup"], points[metric]

    def scores(self) -> dict[str, float]:
        """Each exit's metrics, for instance `exit1/accuracy`."""
        return {
            f"exit{number}/{name}": float(value)
            for number, answers in enumerate(self.answers.T, start=1)
            for name, value in scores_from_counts(class_counts(self.labels, answers, self.num_classes)).items()
        }


@dataclass(frozen=True)
class LengthExamples:
    """What a Dynamic-TinyBERT's length configurations made of n examples."""

    outcomes: Sequence[Outcomes]
    """Of each configuration, as of a single tier."""
    seconds: np.ndarray
    """(n, configurations)."""
    second_s: np.ndarray
    """(n,) through the last tier alone."""

    def drawn(self, rows: np.ndarray) -> LengthExamples:
        return LengthExamples([each.drawn(rows) for each in self.outcomes], self.seconds[rows], self.second_s[rows])

    def curve(self, metric: str) -> Curve:
        metrics = np.array([each.tier_score(1, metric) for each in self.outcomes])
        return self.second_s.sum() / self.seconds.sum(axis=0), metrics

    def scores(self) -> dict[str, float]:
        """Each configuration's metrics and speedup, for instance `1/accuracy`."""
        speedup = self.second_s.sum() / self.seconds.sum(axis=0)
        found = {f"{number}/speedup": float(value) for number, value in enumerate(speedup, start=1)}
        for number, outcomes in enumerate(self.outcomes, start=1):
            found |= {f"{number}/{name}": outcomes.tier_score(1, name) for name in outcomes.metrics}
        return found


def exit_examples(table: Mapping, labels: np.ndarray, num_classes: int, positive: int = 1) -> ExitExamples:
    """Those of a table like early_exit_examples.parquet; `labels` (n,) class ids, `positive` that of two for F1."""
    answers, *arrays = (np.stack(list(table[name])) for name in ("answer", "entropy", "seconds"))
    labels, answers = (positive_last(ids, num_classes, positive) for ids in (labels, answers))
    return ExitExamples(labels, answers, *arrays, np.asarray(table["second_s"]), num_classes)


def length_examples(table: Mapping, labels: np.ndarray | None, num_classes: int, positive: int = 1) -> LengthExamples:
    """Those of a table like dynamic_tinybert_examples.parquet; `labels` (n,) class ids, None of spans."""
    if labels is None:
        graded = {name: np.stack(list(table[name])) for name in GRADES}
        configurations = range(graded[GRADES[0]].shape[1])
        outcomes = [GradedOutcomes({name: scores[:, [i]].T for name, scores in graded.items()}) for i in configurations]
    else:
        answers = np.stack(list(table["answer"]), axis=1)
        outcomes = [ClassOutcomes(labels, each[None], num_classes, positive) for each in answers]
    return LengthExamples(outcomes, np.stack(list(table["seconds"])), np.asarray(table["second_s"]))

"""Examples with all that is known of them: every tier's outcomes, their confidences, and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tangodistill.cascade.beside import Curve, ExitExamples, LengthExamples, exit_examples, length_examples
from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.columns import confidences_of
from tangodistill.cascade.front import every_point, points_at
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import Outcomes, outcomes_of
from tangodistill.cascade.timing import Timing, timing_of
from tangodistill.metrics import positive_id

MOST_POINTS = 200
"""Of a curve of more than two tiers, which is drawn again and again."""
DRAWS_OF_RANDOM = 100
"""Random orders, where F1 and MCC have no closed form."""


@dataclass(frozen=True)
class Examples:
    """What the tiers made of n examples, how sure they were, and how long they took."""

    metric: str
    outcomes: Outcomes
    confidences: np.ndarray
    """(K - 1, n) float32 of every tier but the last; two tiers may be given as (n,)."""
    timing: Timing
    beside: Mapping[str, ExitExamples | LengthExamples] = field(default_factory=dict)
    """What was measured beside the cascade, of `deebert` and `dynamic_tinybert`."""
    groups: np.ndarray | None = None
    """(n,) equal numbers for rows that hang together; None: every row stands by itself."""
    points: np.ndarray | None = None
    """(points, K - 1) thresholds of the cascade's curve; None: of two tiers every point, else the best front's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "confidences", Gates(self.confidences).confidences)
        if self.points is None and self.outcomes.tiers > 2:
            object.__setattr__(self, "points", self._best_points())

    def _best_points(self) -> np.ndarray:
        """Those of the best front where it comes near the last tier, spread over it where they are many."""
        front = best_front(self.outcomes, self.confidences, self.timing, self.metric)
        last = self.outcomes.tier_score(self.outcomes.tiers, self.metric)
        points = front.thresholds[front.metrics[self.metric] >= last - 0.1 * abs(last)]
        return points[np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).astype(int))]

    @property
    def n(self) -> int:
        return self.outcomes.n

    def drawn(self, rows: np.ndarray) -> Examples:
        beside = {kind: own.drawn(rows) for kind, own in self.beside.items()}
        drawn = self.outcomes.drawn(rows), self.confidences[:, rows], self.timing.drawn(rows)
        return Examples(self.metric, *drawn, beside, points=self.points)

    def curves(self, draws: int = DRAWS_OF_RANDOM) -> dict[str, Curve]:
        """The curves `cascade`, `random` and `oracle`, and those of what is beside them: speedups at batch 1."""
        return {kind: (speedup, values) for kind, (speedup, _, values) in self.both_curves(draws).items()}

    def both_curves(self, draws: int) -> dict[str, tuple[np.ndarray, np.ndarray | None, np.ndarray]]:
        """Of each kind the speedups (points,) at batch 1 and at best batch (None: not timed), and the metric."""
        timing, part = self.timing, (self.outcomes, self.confidences, self.timing)
        front = every_point(*part) if self.points is None else points_at(*part, self.points)
        last_s, last_best_s = timing.reference.example_s.sum(), timing.reference.best_batch_s
        own = last_s / front.time_s, last_best_s / front.time_best_batch_s, front.metrics[self.metric]
        found = {"cascade": own}
        baselines = {
            "random": self.outcomes.random(self.metric, timing, draws),
            "oracle": self.outcomes.oracle(self.metric, timing),
        }
        for kind, curve in baselines.items():
            found[kind] = last_s / curve.time_s, last_best_s / curve.time_best_batch_s, curve.metric
        for kind, own in self.beside.items():
            speedup, values = own.curve(self.metric)
            found[kind] = speedup, None, values
        return found


def examples_of(
    summary: Mapping, predictions: Mapping, batches: Mapping, beside: Mapping[str, Mapping] | None = None
) -> Examples:
    """The report examples in the files of a measured cascade.

    Args: `summary` the contents of summary.json; `predictions` and `batches` the columns of predictions.parquet and
    batch_times.parquet; `beside` by kind, those of early_exit_examples.parquet and its like.
    """
    labels, names = (np.asarray(predictions["label"]) if "label" in predictions else None), summary["label_names"]
    positive = positive_id(names, summary.get("positive"))
    read = {"deebert": exit_examples, "dynamic_tinybert": length_examples}
    return Examples(
        metric=summary["metric"],
        outcomes=outcomes_of(predictions, positive),
        confidences=confidences_of(predictions),
        timing=timing_of(predictions, batches, [tier["best_batch_size"] for tier in summary["tiers"]]),
        beside={kind: read[kind](table, labels, len(names), positive) for kind, table in (beside or {}).items()},
        groups=np.asarray(predictions["group"]) if "group" in predictions else None,
    )

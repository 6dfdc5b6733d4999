"""Operating points of a cascade: their thresholds, and what each gains and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.gates import Gates
from tangodistill.cascade.moves import Moves
from tangodistill.cascade.outcomes import Outcomes
from tangodistill.cascade.timing import Timing, best_batch_time_s, cascade_time_s

TOGETHER = 64  # points whose answering tiers are in memory at once


@dataclass(frozen=True)
class Front:
    """Operating points of K tiers over n examples, cheapest first."""

    thresholds: np.ndarray
    """(points, K - 1) float32: of every tier but the last."""
    passed: np.ndarray
    """(points, K - 1) int64: how many examples go beyond each of these tiers."""
    metrics: Mapping[str, np.ndarray]
    """(points,) values of each metric."""
    time_s: np.ndarray
    """(points,) seconds for all examples, one at a time."""
    time_best_batch_s: np.ndarray
    """(points,) seconds for all examples at the tiers' best batch sizes."""
    exact: bool = True
    """Whether no other thresholds are both cheaper and better."""

    @classmethod
    def of(cls, thresholds: np.ndarray, moves: Moves, outcomes: Outcomes, timing: Timing) -> Front:
        """All points of some moves."""
        passed = np.stack([moves.beyond(gate) for gate in range(outcomes.tiers - 1)], axis=1)
        metrics = outcomes.metrics_at(moves)
        return cls(thresholds, passed, metrics, cascade_time_s(moves, timing), best_batch_time_s(passed, timing))

    def __len__(self) -> int:
        return len(self.thresholds)

    @property
    def cost(self) -> np.ndarray:
        """(points,) of both ways of use, which weigh alike."""
        return self.time_s * self.time_best_batch_s

    def best(self, metric: str) -> Front:
        """Those that none is as good as and cheaper, one at a time, in batches, or in both alike; cheapest first."""
        values, kept = self.metrics[metric], np.zeros(len(self), bool)
        for cost in (self.time_s, self.time_best_batch_s, self.cost):
            order = np.lexsort((-values, cost))
            so_far = np.maximum.accumulate(values[order])
            kept[order[np.diff(so_far, prepend=-np.inf) > 0]] = True
        points = np.flatnonzero(kept)
        return self.at(points[np.argsort(self.cost[points], kind="stable")])

    def at(self, points: np.ndarray) -> Front:
        """Some of the points, (k,) indices or (points,) bool."""
        columns = self.thresholds[points], self.passed[points], {k: v[points] for k, v in self.metrics.items()}
        return Front(*columns, self.time_s[points], self.time_best_batch_s[points], self.exact)

    def joined(self, others: list[Front]) -> Front:
        """These points and others'."""
        fronts = [self, *others]
        metrics = {name: np.concatenate([each.metrics[name] for each in fronts]) for name in self.metrics}
        thresholds, passed, time_s, time_best_batch_s = (
            np.concatenate([getattr(each, name) for each in fronts])
            for name in ("thresholds", "passed", "time_s", "time_best_batch_s")
        )
        exact = all(each.exact for each in fronts)
        return Front(thresholds, passed, metrics, time_s, time_best_batch_s, exact)


def points_at(outcomes: Outcomes, confidences: np.ndarray, timing: Timing, thresholds: np.ndarray) -> Front:
    """The operating points of given thresholds (points, K - 1), in their order."""
    check_times(outcomes, timing)
    gates = Gates(confidences).check(outcomes.tiers, outcomes.n)
    parts = [thresholds[start : start + TOGETHER] for start in range(0, len(thresholds), TOGETHER)]
    first, *others = (Front.of(part, gates.moves(part), outcomes, timing) for part in parts)
    return first.joined(others)


def every_point(outcomes: Outcomes, confidences: np.ndarray, timing: Timing) -> Front:
    """Of two tiers, all operating points by ascending threshold: from none deferred to all."""
    check_times(outcomes, timing)
    threshold, moves = Gates(confidences).check(2, outcomes.n).sweep()
    return Front.of(threshold[:, None], moves, outcomes, timing)


def check_times(outcomes: Outcomes, timing: Timing) -> None:
    """Raises: ValueError unless the times are of these tiers and examples."""
    if timing.n != outcomes.n:
        raise ValueError(f"the times are of {timing.n} examples, the predictions of {outcomes.n}")
    if len(timing.tiers) != outcomes.tiers:
        raise ValueError(f"the times are of {len(timing.tiers)} tiers, the predictions of {outcomes.tiers}")

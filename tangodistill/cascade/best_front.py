"""The best operating points of K tiers: of every cost the thresholds that reach the best metric.

For each choice of the other thresholds, the last gate's are swept in one pass. Of three tiers that is one pass for each
threshold of the first, O(n²) in time and O(n) in memory, and exact. A threshold is tried only where an example that it
passes on may gain by it, which leaves a tenth of them or so. Where too many are left, the first gate of three tiers
runs over quantiles of them; more tiers improve one threshold at a time, from every best shorter cascade. Cheaper means
fewer examples passed on: in batches, that a larger partial batch takes longer than a smaller one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from math import prod

import numpy as np

from tangodistill.cascade.front import Front, check_times, points_at
from tangodistill.cascade.gate_sweep import gate_sweep, worthwhile_thresholds
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import Outcomes
from tangodistill.cascade.timing import Timing

BUDGET = 300_000_000
"""Examples looked at, over all sweeps: some ten seconds."""
OVERHEAD = 10_000
"""Examples that a sweep costs beside its own."""
TOGETHER = 20_000
"""Points in memory, of which the best are kept."""


def best_front(outcomes: Outcomes, confidences: np.ndarray, timing: Timing, metric: str) -> Front:
    """The best operating points of all thresholds, cheapest first; `exact` is False where some were not tried.

    Args: `confidences` (K - 1, n) of every tier but the last; `metric` one of the outcomes'.

    Raises: ValueError for arrays that do not fit together.

    >>> from tangodistill.cascade.outcomes import ClassOutcomes
    >>> from tangodistill.cascade.timing import TierTime
    >>> tiers = [TierTime(np.full(3, s), np.array([1]), np.array([s]), 1) for s in (1.0, 2.0, 9.0)]
    >>> outcomes = ClassOutcomes([1, 1, 1], [[1, 0, 0], [1, 1, 0], [1, 1, 1]], num_classes=2)
    >>> front = best_front(outcomes, [[0.9, 0.6, 0.5], [0.9, 0.8, 0.5]], Timing(tuple(tiers)), "accuracy")
    >>> front.metrics["accuracy"].round(2).tolist(), front.time_s.tolist(), front.passed.tolist()
    ([0.33, 0.67, 1.0], [3.0, 7.0, 16.0], [[0, 0], [2, 0], [2, 1]])
    """
    search = _Search(outcomes, confidences, timing, metric)
    return search.front(tuple(range(1, outcomes.tiers + 1)))


def every_front(
    outcomes: Outcomes, confidences: np.ndarray, timing: Timing, metric: str
) -> dict[tuple[int, ...], Front]:
    """The best front of each of the `subsets` of the tiers."""
    search = _Search(outcomes, confidences, timing, metric)
    return {tiers: search.front(tiers) for tiers in subsets(outcomes.tiers)}


def subsets(tiers: int) -> list[tuple[int, ...]]:
    """Every choice of two or more of so many tiers that holds the last, numbered from 1, shortest first.

    >>> subsets(3)
    [(1, 3), (2, 3), (1, 2, 3)]
    """
    gating = range(1, tiers)
    return [(*some, tiers) for count in gating for some in combinations(gating, count)]


@dataclass
class _Search:
    """The fronts of some of the tiers, each found once."""

    outcomes: Outcomes
    confidences: np.ndarray
    timing: Timing
    metric: str
    found: dict[tuple[int, ...], Front] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_times(self.outcomes, self.timing)
        self.confidences = Gates(self.confidences).check(self.outcomes.tiers, self.outcomes.n).confidences

    def front(self, tiers: tuple[int, ...]) -> Front:
        if tiers not in self.found:
            self.found[tiers] = self._search(tiers)
        return self.found[tiers]

    def _search(self, tiers: tuple[int, ...]) -> Front:
        outcomes, timing = self.outcomes.subset(tiers), self.timing.subset(tiers)
        gates = Gates(self.confidences[np.array(tiers[:-1]) - 1])
        part = outcomes, gates, timing, self.metric
        tried = [worthwhile_thresholds(outcomes, gates, self.metric, gate) for gate in range(len(tiers) - 2)]
        most = max(1, BUDGET // (outcomes.n + OVERHEAD))
        if prod(map(len, tried)) <= most:
            return nested(*part, tried)
        if len(tiers) == 3:
            some = np.unique(np.linspace(0, len(tried[0]) - 1, most).round().astype(int))
            return replace(nested(*part, [tried[0][some]]), exact=False)
        starts = [self._with_a_tier_more(tiers, left_out, gates, outcomes, timing) for left_out in range(len(tiers))]
        return descended(*part, starts[0].joined(starts[1:]), most)

    def _with_a_tier_more(
        self, tiers: tuple[int, ...], left_out: int, gates: Gates, outcomes: Outcomes, timing: Timing
    ) -> Front:
        """The best of the cascade without a tier, and what it comes to where that tier decides nothing.

        That is, where it passes every example on, or where none is passed on to it, if it is the last.
        """
        shorter = self.front((*tiers[:left_out], *tiers[left_out + 1 :])).thresholds
        gate = min(left_out, len(tiers) - 2)
        sure = gates.confidences[gate]
        idle = np.nextafter(sure.max(), np.float32(np.inf)) if gate == left_out else sure.min()
        return points_at(outcomes, gates.confidences, timing, np.insert(shorter, gate, idle, axis=1))


def nested(outcomes: Outcomes, gates: Gates, timing: Timing, metric: str, tried: Sequence[np.ndarray]) -> Front:
    """The best points over these thresholds of every gate but the last, and over all of the last."""
    last, waiting = outcomes.tiers - 2, []
    for fixed in product(*tried):
        waiting.append(gate_sweep(outcomes, gates, timing, metric, np.array([*fixed, 0]), last))
        if sum(map(len, waiting)) > TOGETHER:
            waiting = [waiting[0].joined(waiting[1:]).best(metric)]
    return waiting[0].joined(waiting[1:]).best(metric)


def descended(outcomes: Outcomes, gates: Gates, timing: Timing, metric: str, start: Front, most: int) -> Front:
    """From a front on: each gate swept from each of its points, until no point is new, or after so many sweeps.

    It never gets worse, and ends where no single threshold can be bettered.
    """
    front, seen = start.best(metric), set()
    while most > 0:
        new = [each for each in front.thresholds if each.tobytes() not in seen][: most // len(gates.confidences) + 1]
        if not new:
            break
        seen |= {each.tobytes() for each in new}
        swept = [
            gate_sweep(outcomes, gates, timing, metric, each, gate)
            for each in new
            for gate in range(len(gates.confidences))
        ]
        most -= len(swept)
        front = front.joined(swept).best(metric)
    return replace(front, exact=False)

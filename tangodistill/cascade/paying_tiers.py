"""Which tiers pay: what a cascade of every choice of them that ends with the last keeps and costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.best_front import every_front, subsets
from tangodistill.cascade.choose import ChosenPoint, Target, choose
from tangodistill.cascade.outcomes import Outcomes
from tangodistill.cascade.path import equal_risk_path
from tangodistill.cascade.speedup import speedup_at
from tangodistill.cascade.summary import FRACTIONS, path_points
from tangodistill.cascade.timing import Timing


def subset_speedups(outcomes: Outcomes, confidences: np.ndarray, timing: Timing, metric: str) -> list[dict]:
    """The best cascade of every choice of tiers, read off these very examples, ready for JSON.

    Returns: of each `tiers`, numbered from 1, and under `speedup_at_99` and `speedup_at_98` the speedups over the last
    tier alone that its fastest points attain, `batch1` and `best_batch`, or None and the `reason`.
    """
    last, alone, found = outcomes.tier_score(outcomes.tiers, metric), timing.reference, []
    for tiers, front in every_front(outcomes, confidences, timing, metric).items():
        one_by_one, in_batches = alone.example_s.sum() / front.time_s, alone.best_batch_s / front.time_best_batch_s
        record = {"tiers": list(tiers), "exact": front.exact}
        for name, share in FRACTIONS.items():
            at, batched = (speedup_at(share, each, front.metrics[metric], last) for each in (one_by_one, in_batches))
            record[name] = {"batch1": at.attained, "best_batch": batched.attained, "reason": at.reason}
        found.append(record)
    return found


@dataclass(frozen=True)
class TierChoice:
    """The tiers of the cascade that meets a target best, and what each other choice of them came to."""

    tiers: tuple[int, ...]
    """Numbered from 1."""
    points: Mapping[tuple[int, ...], ChosenPoint]
    """By tiers, the point that meets the target; choices without one are left out."""

    def told(self, names: Sequence[str]) -> str | None:
        """Which tiers do not pay, in a sentence; None where all do. `names` are those of all K tiers."""
        left_out = [tier for tier in range(1, len(names) + 1) if tier not in self.tiers]
        if not left_out:
            return None
        verb, them = ("does", "it") if len(left_out) == 1 else ("do", "them")
        own, whole = self.points[self.tiers], self.points.get(tuple(range(1, len(names) + 1)))
        with_them = f"{whole.speedup:.2f}x and {whole.speedup_best_batch:.2f}x" if whole else "no step meets the target"
        return (
            f"{_listed(left_out, names)} {verb} not pay: without {them} the cascade is {own.speedup:.2f}x as fast as "
            f"{names[-1]} alone one at a time and {own.speedup_best_batch:.2f}x in batches, with {them} {with_them}."
        )


def choose_tiers(
    outcomes: Outcomes, confidences: np.ndarray, timing: Timing, grid: np.ndarray, metric: str, target: Target
) -> TierChoice:
    """The tiers whose cascade meets the target at the least cost, or within a budget reaches the best metric.

    One at a time and in batches weigh alike. Each choice of tiers has its own path. It is made on the selection role,
    so that nothing but the step is chosen on the calibration role.

    Args: `outcomes` and `confidences` of the selection role, `timing` such as `Timing.typical` of its examples; `grid`
    as in `equal_risk_path`.

    Raises: ValueError saying the best reachable by all tiers, where no choice meets the target.
    """
    points: dict[tuple[int, ...], ChosenPoint] = {}
    for tiers in subsets(outcomes.tiers):
        own = outcomes.subset(tiers), np.atleast_2d(confidences)[np.array(tiers[:-1]) - 1]
        table = path_points(*own, timing.subset(tiers), equal_risk_path(*own, grid, metric))
        try:
            points[tiers] = choose(table, target, metric)
        except ValueError:
            if not points and len(tiers) == outcomes.tiers:
                raise

    def cost(point: ChosenPoint) -> tuple[float, float]:
        return -point.metric_value * (target.kind != "keep"), point.per_example_ms * point.predicted_s

    return TierChoice(min(points, key=lambda tiers: cost(points[tiers])), points)


def _listed(tiers: Sequence[int], names: Sequence[str]) -> str:
    """
    >>> _listed([1, 2, 3], ["a", "b", "c"])
    'a, b and c'
    """
    *first, last = (names[tier - 1] for tier in tiers)
    return f"{', '.join(first)} and {last}" if first else last

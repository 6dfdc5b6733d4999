"""95 % intervals of all that is read off measured examples: a paired bootstrap.

Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 8 and 13. Examples are drawn with all tiers'
answers and times, so that what the tiers have in common adds no noise to a share or a speedup. Rows that hang together
are drawn together. Draws from a few examples on which nothing went wrong would never show a loss; so four are added
wherever a share is read: each tier is right on two of them, two go to the last tier, and that the others stay with the
first loses one and gains one. Agresti and Coull (1998) add as many to a single share, Agresti and Min (2005) to a
paired difference.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist

import numpy as np

from tangodistill.cascade.choose import thresholds_of
from tangodistill.cascade.examples import Examples
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.speedup import speedup_at
from tangodistill.cascade.summary import FRACTIONS
from tangodistill.cascade.timing import best_batch_time_s

LEVEL = 0.95
MOST_DRAWS, FEWEST_DRAWS = 500, 200
DRAWN_EXAMPLES = 10_000_000  # over all draws, beyond which there are fewer of them
DRAWS_OF_RANDOM = 10  # random orders per draw, where F1 and MCC have no closed form

RIGHT = np.array([[0, 1, 1, 0], [1, 0, 0, 1]], bool)
"""(2, added) whether each of the tiers before the last is right, and whether the last one is."""
DEFERRED = np.array([1, 1, 0, 0], bool)
"""(added,) whether the last tier answers, else the first."""

POINTS = ("chosen", "chosen_with_confidence", "best_on_report")
"""Keys of a summary that hold an operating point."""
MEASURED = {
    way: f"chosen/{name}"
    for way, name in (("batch1", "measured_speedup_batch1"), ("best_batch", "measured_speedup_best_batch"))
}
"""By way of use, the chosen point's speedup as it was run for real."""
PREDICTED = {"batch1": "chosen/speedup", "best_batch": "chosen/speedup_best_batch"}

Interval = tuple[float, float]


def draws_for(n: int) -> int:
    """
    >>> draws_for(222), draws_for(20_000), draws_for(1_000_000)
    (500, 500, 200)
    """
    return int(np.clip(DRAWN_EXAMPLES // n, FEWEST_DRAWS, MOST_DRAWS))


def summary_intervals(
    summary: Mapping, examples: Examples, step: Callable[[], None] = lambda: None
) -> dict[str, Interval]:
    """The interval of each number in a summary.json, under the name that `Points` and `speedups` give it.

    The chosen point's MEASURED speedups vary with the timed passes as well as with the examples.

    Args: `step` is called after each of `draws_for(n)` draws.
    """
    there = {name: thresholds_of(summary[name]) for name in POINTS if summary.get(name)}
    points = Points(examples, {name: thresholds for name, thresholds in there.items() if thresholds is not None})
    found = points.figures(np.arange(examples.n)) | speedups(examples)
    measured, rng = {way: _passes(summary["chosen"], way, examples) for way in MEASURED}, np.random.default_rng(0)

    def draw(rows: np.ndarray, added: np.ndarray) -> dict[str, float]:
        drawn = points.figures(np.append(rows, examples.n + added)) | speedups(examples.drawn(rows))
        for way, passes_s in measured.items():
            cascade_s, second_s = passes_s[:, rng.integers(passes_s.shape[1], size=passes_s.shape[1])].sum(axis=1)
            by_examples = drawn[PREDICTED[way]] / found[PREDICTED[way]]
            drawn[MEASURED[way]] = second_s / cascade_s * by_examples
        return drawn

    whole = {MEASURED[way]: passes_s[1].sum() / passes_s[0].sum() for way, passes_s in measured.items()}
    draws = (draw(*rows) for rows in drawn_rows(examples, points.added))
    return middle(found | whole, draws, step)


def point_intervals(examples: Examples, thresholds: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
    """The intervals of `Points` alone."""
    points = Points(examples, thresholds)
    draws = (points.figures(np.append(rows, examples.n + added)) for rows, added in drawn_rows(examples, points.added))
    return middle(points.figures(np.arange(examples.n)), draws)


class Points:
    """Operating points by their thresholds, and the tiers alone, over examples and the added ones.

    Names of the numbers, for each tier: `tier1/accuracy` and so on for each metric, `tier1/share_kept` of the last
    one's, `tier1/speedup`; and of each point, for instance, `chosen/metric_value`, `chosen/share_kept`,
    `chosen/deferral_rate`, `chosen/speedup` and `chosen/speedup_best_batch`.
    """

    def __init__(self, examples: Examples, thresholds: Mapping[str, Sequence[float]]):
        gating = examples.outcomes.tiers - 1
        self.metric = examples.metric
        self.tiers = examples.outcomes.extended(RIGHT[[0] * gating + [1]])
        self.added = self.tiers.n - examples.n
        self.timing = examples.timing.extended(self.added)
        added = gating * np.tile(DEFERRED, self.added // len(DEFERRED)).astype(np.int8)
        gates = Gates(examples.confidences)
        self.stops = {name: np.append(gates.stops(at), added) for name, at in thresholds.items()}
        self.outcomes = {name: self.tiers.cascade(stops) for name, stops in self.stops.items()}

    def figures(self, rows: np.ndarray) -> dict[str, float]:
        """Every number over some rows, of which the added ones are the last; NaN for a share of nothing."""
        drawn, timing, metric = self.tiers.drawn(rows), self.timing.drawn(rows), self.metric
        tiers, seconds = range(1, drawn.tiers + 1), [tier.example_s for tier in timing.tiers]
        found = {f"tier{tier}/{name}": drawn.tier_score(tier, name) for tier in tiers for name in drawn.metrics}
        last, last_s = found[f"tier{drawn.tiers}/{metric}"], timing.reference.example_s.sum()
        for tier in tiers[:-1]:
            found[f"tier{tier}/share_kept"] = _share(found[f"tier{tier}/{metric}"], last)
            found[f"tier{tier}/speedup"] = last_s / seconds[tier - 1].sum()
        for name, outcomes in self.outcomes.items():
            reached = [self.stops[name][rows] >= tier for tier in tiers[:-1]]
            value = outcomes.drawn(rows).tier_score(1, metric)
            added_s = sum(each[here].sum() for each, here in zip(seconds[1:], reached, strict=True))
            in_batches_s = float(best_batch_time_s(np.sum(reached, axis=1)[None], timing)[0])
            found |= {
                f"{name}/metric_value": value,
                f"{name}/share_kept": _share(value, last),
                f"{name}/deferral_rate": float(reached[-1].mean()),
                f"{name}/speedup": last_s / (seconds[0].sum() + added_s),
                f"{name}/speedup_best_batch": timing.reference.best_batch_s / in_batches_s,
            }
        return found


def speedups(examples: Examples) -> dict[str, float]:
    """Speedups at a share of the last tier's metric, for instance `random/speedup_at_99/attained_best_batch`.

    The cascade's own are `speedup_at_99/batch1` and so on. NaN stands where the share is not kept. And the scores of
    what stands beside it, for instance `deebert/exit1/accuracy`.
    """
    last = examples.outcomes.tier_score(examples.outcomes.tiers, examples.metric)
    found = {f"{kind}/{name}": value for kind, own in examples.beside.items() for name, value in own.scores().items()}
    for kind, (one_by_one, in_batches, values) in examples.both_curves(DRAWS_OF_RANDOM).items():
        for way, speedup in (("batch1", one_by_one), ("best_batch", in_batches)):
            for name, fraction in FRACTIONS.items() if speedup is not None else ():
                at = speedup_at(fraction, speedup, values, last)
                prefix = name if kind == "cascade" else f"{kind}/{name}"
                found[f"{prefix}/{way}"] = np.nan if at.interpolated is None else at.interpolated
                found[f"{prefix}/attained_{way}"] = np.nan if at.attained is None else at.attained
    return found


def drawn_rows(examples: Examples, added: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each draw the rows, and which of the `added` ones: as many groups as there are, from four more.

    An added example counts as a group of common size.
    """
    groups = np.arange(examples.n) if examples.groups is None else examples.groups
    own, group_of = np.unique(groups, return_inverse=True)
    rng, count, size = np.random.default_rng(0), len(own), round(examples.n / len(own))
    for _ in range(draws_for(examples.n)):
        others = min(rng.binomial(count, len(DEFERRED) / (count + len(DEFERRED))), count - 1)
        times = np.bincount(rng.integers(count, size=count - others), minlength=count)
        yield np.repeat(np.arange(examples.n), times[group_of]), np.repeat(rng.integers(added, size=others), size)


def middle(
    found: Mapping[str, float], draws: Iterable[Mapping[str, float]], step: Callable[[], None] = lambda: None
) -> dict[str, Interval]:
    """The middle 95 % of each number's draws, stretched to what was found; draws in which it is NaN don't count."""
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for draw in draws:
        for name, value in draw.items():
            drawn[name].append(value)
        step()
    intervals = {}
    for name, value in found.items():
        finite = np.array(drawn[name])[np.isfinite(drawn[name])]
        if np.isfinite(value) and len(finite):
            low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            intervals[name] = float(min(low, value)), float(max(high, value))
    return intervals


def count_interval(count: int, of: int) -> Interval:
    """Of a share: the plus-four interval of Agresti and Coull (1998), in closed form.

    >>> [round(bound, 3) for bound in count_interval(0, 50)], [round(bound, 3) for bound in count_interval(360, 400)]
    ([0.0, 0.087], [0.866, 0.926])
    """
    n = of + 4
    share = (count + 2) / n
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * np.sqrt(share * (1 - share) / n)
    return float(max(share - half, 0.0)), float(min(share + half, 1.0))


def _passes(chosen: Mapping, way: str, examples: Examples) -> np.ndarray:
    """(2, passes) seconds through the cascade and the last tier alone in a way of use; predicted where not run."""
    if passes_s := chosen.get("runs", {}).get(way, {}).get("passes_s"):
        return np.array([passes_s["cascade"], passes_s["second_only"]])
    timing = examples.timing
    if way == "batch1":
        stops = Gates(examples.confidences).stops(thresholds_of(chosen))
        reached = (tier.example_s[stops >= number] for number, tier in enumerate(timing.tiers))
        return np.array([[sum(seconds.sum() for seconds in reached)], [timing.reference.example_s.sum()]])
    last_s = chosen.get("measured_second_only_s") or timing.reference.best_batch_s
    return np.array([[chosen.get("measured_s") or chosen["predicted_s"]], [last_s]])


def _share(value: float, of: float) -> float:
    return value / of if of > 0 else float("nan")

"""The report examples of a run as curves of metric against speedup, of classes and of spans alike.

Spans have a score of their own per example, and a metric that is the mean of these scores; classes are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tangodistill.cascade.baselines import oracle, random_baseline
from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.speedup import Timing, cascade_time_s, speedup_at, timing_of
from tangodistill.cascade.summary import FRACTIONS
from tangodistill.cascade.sweep import prefix_sums, rank, sweep
from tangodistill.report.run_files import Measured

DRAWS = 1000
DRAWS_OF_RANDOM = 10
"""Random orders per draw of the bootstrap, where F1 and MCC have no closed form."""

Curve = tuple[np.ndarray, np.ndarray]
"""Speedup over the second tier alone at batch 1, and the metric, each (points,)."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class ClassExamples:
    """Class ids (n,): labels and both tiers' answers, with the first tier's confidence."""

    metric: str
    labels: np.ndarray
    tier1: np.ndarray
    tier2: np.ndarray
    confidence: np.ndarray
    timing: Timing
    num_classes: int

    def drawn(self, rows: np.ndarray) -> ClassExamples:
        arrays = {name: getattr(self, name)[rows] for name in ("labels", "tier1", "tier2", "confidence")}
        timing = replace(self.timing, tier1_s=self.timing.tier1_s[rows], tier2_s=self.timing.tier2_s[rows])
        return replace(self, **arrays, timing=timing)

    def curves(self, draws: int = 100) -> dict[str, Curve]:
        """The curves `cascade`, `random` and `oracle`."""
        second_s, answers = self.timing.tier2_s.sum(), (self.labels, self.tier1, self.tier2)
        swept = sweep(*answers, self.confidence, self.num_classes)
        arguments = (self.metric, *answers, self.timing, self.num_classes)
        baselines = {"random": random_baseline(*arguments, draws=draws), "oracle": oracle(*arguments)}
        return {
            "cascade": (second_s / cascade_time_s(swept, self.timing), swept.metric(self.metric)),
            **{kind: (second_s / curve.time_s, curve.metric) for kind, curve in baselines.items()},
        }

    def errors(self) -> pd.DataFrame:
        """Changes from the first tier to the second by tenth of the confidence."""
        return pd.DataFrame(errors_by_confidence(self.labels, self.tier1, self.tier2, self.confidence))


@dataclass(frozen=True)
class SpanExamples:
    """Both tiers' scores (n,) per example, 0..1, of which the metric is the mean; exact matches (n,) beside them."""

    tier1: np.ndarray
    tier2: np.ndarray
    tier1_exact: np.ndarray
    tier2_exact: np.ndarray
    confidence: np.ndarray
    tier1_s: np.ndarray
    tier2_s: np.ndarray

    def drawn(self, rows: np.ndarray) -> SpanExamples:
        return SpanExamples(**{name: array[rows] for name, array in vars(self).items()})

    def curves(self, draws: int = 0) -> dict[str, Curve]:
        """The curves `cascade`, `random` (its expectation: no draws are needed) and `oracle`.

        The oracle defers what gains most per second; between its points that is the best any choice can do (the
        fractional knapsack's bound).

        >>> half, one = np.array([0.5, 0.5]), np.ones(2)
        >>> spans = SpanExamples(half, one, half, one, np.array([0.2, 0.9]), np.array([1.0, 1.0]), np.array([4.0, 4.0]))
        >>> [column.round(2).tolist() for column in spans.curves()["cascade"]]
        [[4.0, 1.33, 0.8], [0.5, 0.75, 1.0]]
        """
        n, gain, (first_s, second_s) = (
            len(self.tier1),
            self.tier2 - self.tier1,
            (self.tier1_s.sum(), self.tier2_s.sum()),
        )
        order, _, deferred = rank(self.confidence)
        useful = np.flatnonzero(gain > 0)
        useful = useful[np.argsort(-gain[useful] / self.tier2_s[useful], kind="stable")]
        rate = np.linspace(0, 1, n + 1)

        def after(rows: np.ndarray) -> Curve:
            """Speedup and metric with the first 0, 1, ... of the rows deferred."""
            speedup = second_s / (first_s + prefix_sums(self.tier2_s[rows]))
            return speedup, (self.tier1.sum() + prefix_sums(gain[rows])) / n

        return {
            "cascade": tuple(column[deferred] for column in after(order)),
            "random": (second_s / ((1 - rate) * first_s + rate * second_s), self.tier1.mean() + rate * gain.mean()),
            "oracle": after(useful),
        }

    def errors(self) -> pd.DataFrame:
        """Changes from the first tier to the second by tenth of the confidence; right is an exact match."""
        exact1, exact2 = (scores.astype(np.int64) for scores in (self.tier1_exact, self.tier2_exact))
        return pd.DataFrame(errors_by_confidence(np.ones_like(exact1), exact1, exact2, self.confidence))


def examples_of(measured: Measured) -> ClassExamples | SpanExamples:
    """The report examples of a measured cascade."""
    frame, summary = measured.predictions, measured.summary
    columns = (f"tier{tier}_{score}" for score in (measured.metric, "em") for tier in (1, 2))
    if f"tier1_{measured.metric}" in frame:
        times = (f"tier{tier}_time_s" for tier in (1, 2))
        return SpanExamples(*(frame[name].to_numpy(np.float64) for name in (*columns, "confidence", *times)))
    best = [tier["best_batch_size"] for tier in summary["tiers"]]
    return ClassExamples(
        measured.metric,
        frame["label"].to_numpy(),
        measured.answers(1),
        measured.answers(2),
        frame["confidence"].to_numpy(),
        timing_of(frame, measured.batch_times, best),
        len(summary["label_names"]),
    )


def intervals(
    examples: ClassExamples | SpanExamples, draws: int = DRAWS, step: Callable[[], None] = lambda: None
) -> dict[str, Interval]:
    """95 % percentile bootstrap over examples, drawn with their times and both tiers' answers.

    Keys: `second_tier`, and for `cascade`, `random` and `oracle` for instance `cascade_99`, their speedup there. A kind
    that does not reach its target in some draw counts over the others.

    Args: `step` is called after each draw.
    """
    n, rng = len(examples.confidence), np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        curves = examples.drawn(rng.integers(n, size=n)).curves(DRAWS_OF_RANDOM)
        second = curves["cascade"][1][-1]  # all deferred
        found.setdefault("second_tier", []).append(second)
        for kind, curve in curves.items():
            for name, fraction in FRACTIONS.items():
                value = speedup_at(fraction, *curve, second).interpolated
                found.setdefault(f"{kind}_{name[-2:]}", []).extend([] if value is None else [value])
        step()
    return {name: tuple(np.quantile(values, (0.025, 0.975)).tolist()) for name, values in found.items() if values}

"""The report examples of a run as curves of metric against speedup, whatever kind of answers they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.outcomes import Outcomes
from tangodistill.cascade.speedup import Timing, cascade_time_s, speedup_at, timing_of
from tangodistill.cascade.summary import FRACTIONS
from tangodistill.metrics import positive_id
from tangodistill.report.paper_beside import Curve, ExitExamples, LengthExamples, exit_examples, length_examples
from tangodistill.report.run_files import Measured

DRAWS = 1000
DRAWS_OF_RANDOM = 10
"""Random orders per draw of the bootstrap, where F1 and MCC have no closed form."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Examples:
    """What both tiers made of n examples, how sure the first one was, and how long they took."""

    metric: str
    outcomes: Outcomes
    confidence: np.ndarray
    timing: Timing
    beside: Mapping[str, ExitExamples | LengthExamples] = field(default_factory=dict)
    """What was measured beside the cascade, of `deebert` and `dynamic_tinybert`."""

    def drawn(self, rows: np.ndarray) -> Examples:
        names = ("tier1_s", "tier2_s", "second_only_s")
        timing = replace(self.timing, **{name: getattr(self.timing, name)[rows] for name in names})
        beside = {kind: own.drawn(rows) for kind, own in self.beside.items()}
        return Examples(self.metric, self.outcomes.drawn(rows), self.confidence[rows], timing, beside)

    def curves(self, draws: int = 100) -> dict[str, Curve]:
        """The curves `cascade`, `random` and `oracle`, and those of what is beside them."""
        second_s, swept = self.timing.second_only_s.sum(), self.outcomes.sweep(self.confidence)
        baselines = {
            "random": self.outcomes.random(self.metric, self.timing, draws),
            "oracle": self.outcomes.oracle(self.metric, self.timing),
        }
        return {
            "cascade": (second_s / cascade_time_s(swept, self.timing), swept.metric(self.metric)),
            **{kind: (second_s / curve.time_s, curve.metric) for kind, curve in baselines.items()},
            **{kind: own.curve(self.metric) for kind, own in self.beside.items()},
        }

    def errors(self) -> pd.DataFrame:
        """Changes from the first tier to the second by tenth of the confidence."""
        return pd.DataFrame(errors_by_confidence(self.outcomes, self.metric, self.confidence))


def examples_of(measured: Measured) -> Examples:
    """The report examples of a measured cascade."""
    frame = measured.predictions
    best = [tier["best_batch_size"] for tier in measured.summary["tiers"]]
    timing = timing_of(frame, measured.batch_times, best)
    labels, names = (frame["label"].to_numpy() if "label" in frame else None), measured.summary["label_names"]
    positive = positive_id(names, measured.summary.get("positive"))
    read = {"deebert": exit_examples, "dynamic_tinybert": length_examples}
    beside = {kind: read[kind](table, labels, len(names), positive) for kind, table in measured.examples_beside.items()}
    return Examples(measured.metric, measured.outcomes, frame["confidence"].to_numpy(), timing, beside)


def intervals(examples: Examples, draws: int = DRAWS, step: Callable[[], None] = lambda: None) -> dict[str, Interval]:
    """95 % percentile bootstrap over examples, drawn with their times and both tiers' answers.

    Keys: `second_tier`, and for each curve for instance `cascade_99`, its speedup there. A kind that does not reach its
    target in some draw counts over the others.

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

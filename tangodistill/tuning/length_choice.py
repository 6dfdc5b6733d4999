"""Which length configuration of a tier makes the cheapest cascade with the last one: the fastest is unsure of more."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tangodistill.cascade.choose import ChosenPoint, Target, choose
from tangodistill.cascade.summary import operating_points
from tangodistill.cascade.timing import timing_of
from tangodistill.tuning.tier_set import TierSet
from tangodistill.tuning.tuned import Timing


def cheapest_deferring_tier(tiers: TierSet, own: Sequence[Timing], last: Timing, keep: float) -> Timing:
    """Of several ways to run a tier, that whose cascade with the last one is cheapest at a share of its metric.

    Both tiers answer the selection texts, every threshold is swept, and the timings say what a text costs. Times one
    at a time and in batches weigh alike. Each timing is told what its cascade defers and takes.

    Args:
        tiers: with their selection texts.
        own: timings of one tier.
        last: the timing of the last one.
        keep: share of the last tier's metric, at most 1.
    """
    after = _outputs(tiers, last)
    for timing in own:
        point = _cheapest_point(tiers, (timing, last), (_outputs(tiers, timing), after), keep)
        timing.deferral_rate = point.deferral_rate
        timing.cascade_ms = 1000 / (last.throughput_batch1_per_s * point.speedup)
        timing.cascade_best_batch_ms = 1000 * point.predicted_s / len(tiers.texts)
    return min(own, key=lambda timing: timing.cascade_ms * timing.cascade_best_batch_ms)


def _outputs(tiers: TierSet, timing: Timing) -> np.ndarray:
    return tiers.outputs(tiers.engine(timing.tier, timing.key, timing.threads), timing.batch_size)


def _cheapest_point(
    tiers: TierSet, timings: tuple[Timing, Timing], outputs: tuple[np.ndarray, np.ndarray], keep: float
) -> ChosenPoint:
    per_text_s = {
        f"tier{each.tier}_time_s": np.full(len(tiers.texts), 1 / each.throughput_batch1_per_s) for each in timings
    }
    batches = pd.DataFrame([row for each in timings for row in each.batch_rows])
    timing = timing_of(per_text_s, batches, [each.batch_size for each in timings])
    points = operating_points(tiers.outcomes(*outputs), tiers.readout.confidence(outputs[0]), timing)
    return choose(points, Target("keep", keep), tiers.metric, tiers.metric_title)

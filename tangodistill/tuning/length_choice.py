"""Which length configuration of a first tier makes the cheapest cascade: the fastest is unsure of more texts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tangodistill.cascade.choose import ChosenPoint, Target, choose
from tangodistill.cascade.summary import operating_points
from tangodistill.cascade.timing import timing_of
from tangodistill.tuning.tier_pair import TierPair
from tangodistill.tuning.tuned import Timing


def cheapest_first_tier(pair: TierPair, first: Sequence[Timing], second: Timing, keep: float) -> Timing:
    """That of several first tiers whose cascade, at a share of the second tier's metric, takes the least time.

    Both tiers answer the selection texts, every threshold is swept, and the timings say what a text costs. Times one
    at a time and in batches weigh alike. Each first tier's timing is told what its cascade defers and takes.

    Args:
        pair: both tiers and their selection texts.
        first: timings of tier 1.
        second: the timing of tier 2.
        keep: share of tier 2's metric, at most 1.
    """
    after = _outputs(pair, second)
    for timing in first:
        point = _cheapest_point(pair, (timing, second), (_outputs(pair, timing), after), keep)
        timing.deferral_rate = point.deferral_rate
        timing.cascade_ms = 1000 / (second.throughput_batch1_per_s * point.speedup)
        timing.cascade_best_batch_ms = 1000 * point.predicted_s / len(pair.texts)
    return min(first, key=lambda timing: timing.cascade_ms * timing.cascade_best_batch_ms)


def _outputs(pair: TierPair, timing: Timing) -> np.ndarray:
    return pair.outputs(pair.engine(timing.tier, timing.key, timing.threads), timing.batch_size)


def _cheapest_point(
    pair: TierPair, timings: tuple[Timing, Timing], outputs: tuple[np.ndarray, np.ndarray], keep: float
) -> ChosenPoint:
    per_text_s = {
        f"tier{each.tier}_time_s": np.full(len(pair.texts), 1 / each.throughput_batch1_per_s) for each in timings
    }
    batches = pd.DataFrame([row for each in timings for row in each.batch_rows])
    timing = timing_of(per_text_s, batches, [each.batch_size for each in timings])
    points = operating_points(pair.outcomes(*outputs), pair.readout.confidence(outputs[0]), timing)
    return choose(points, Target("keep", keep), pair.metric, pair.metric_title)

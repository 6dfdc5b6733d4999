"""What the cascade stage measured, in the form that the sweep reads."""

import pandas as pd

from tangodistill.cascade.speedup import Timing


def timing_of(predictions: pd.DataFrame, batches: pd.DataFrame, best: list[int]) -> Timing:
    """Both tiers' times over the n examples of `predictions`.

    Args:
        predictions: rows of predictions.parquet, or of calibration_predictions.parquet.
        batches: batch_times.parquet.
        best: each tier's best batch size.
    """
    n = len(predictions)
    per_example_s = (batches["seconds"] / batches["n"]).groupby([batches["tier"], batches["batch_size"]]).mean()
    second = per_example_s[2]
    return Timing(
        tier1_s=predictions["tier1_time_s"].to_numpy(),
        tier2_s=predictions["tier2_time_s"].to_numpy(),
        tier1_best_batch_s=float(per_example_s[1, best[0]] * n),
        tier2_batch_sizes=second.index.to_numpy(),
        tier2_batch_s=(second * second.index).to_numpy(),
        tier2_best_batch=best[1],
    )

"""What the figures show beside the operating points: the baselines' curves, and where the tiers differ."""

from __future__ import annotations

import pandas as pd

from tangodistill.cascade.baselines import oracle, random_baseline
from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.speedup import Timing
from tangodistill.report.run_files import Measured


def baseline_points(measured: Measured) -> pd.DataFrame:
    """Curves of the kinds `random` and `oracle`: `deferral_rate`, `speedup` at batch 1, and the run's metric."""
    summary = measured.summary
    arrays = (measured.predictions["label"].to_numpy(), measured.answers(1), measured.answers(2))
    arguments = (measured.metric, *arrays, _timing(measured), len(summary["label_names"]))
    second_s = measured.second_only["time_s"]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "kind": kind,
                    "deferral_rate": curve.deferral_rate,
                    "speedup": second_s / curve.time_s,
                    measured.metric: curve.metric,
                }
            )
            for kind, curve in (("random", random_baseline(*arguments)), ("oracle", oracle(*arguments)))
        ]
    )


def error_table(measured: Measured) -> pd.DataFrame:
    """Changes from the first tier to the second by tenth of the confidence."""
    frame = measured.predictions
    columns = errors_by_confidence(
        frame["label"].to_numpy(), measured.answers(1), measured.answers(2), frame["confidence"]
    )
    return pd.DataFrame(columns)


def _timing(measured: Measured) -> Timing:
    frame, (first, second) = measured.predictions, measured.summary["tiers"][:2]
    of_second = measured.batch_times[measured.batch_times["tier"] == 2]
    # a row may time many batches of its size
    batch_s = (of_second["seconds"] * of_second["batch_size"] / of_second["n"]).groupby(of_second["batch_size"]).mean()
    return Timing(
        tier1_s=frame["tier1_time_s"].to_numpy(),
        tier2_s=frame["tier2_time_s"].to_numpy(),
        tier1_best_batch_s=len(frame) / first["throughput_best_batch_per_s"],
        tier2_batch_sizes=batch_s.index.to_numpy(),
        tier2_batch_s=batch_s.to_numpy(),
        tier2_best_batch=second["best_batch_size"],
    )

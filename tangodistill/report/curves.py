"""What the figures show beside the operating points: the baselines' curves, and where the tiers differ."""

from __future__ import annotations

import pandas as pd

from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.speedup import timing_of
from tangodistill.report.run_files import Measured


def baseline_points(measured: Measured) -> pd.DataFrame:
    """Curves of the kinds `random` and `oracle`: `deferral_rate`, `speedup` at batch 1, and the run's metric."""
    best = [tier["best_batch_size"] for tier in measured.summary["tiers"]]
    timing = timing_of(measured.predictions, measured.batch_times, best)
    outcomes, second_s = measured.outcomes, measured.second_only["time_s"]
    curves = {"random": outcomes.random(measured.metric, timing), "oracle": outcomes.oracle(measured.metric, timing)}
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
            for kind, curve in curves.items()
        ]
    )


def early_exit_points(measured: Measured) -> pd.DataFrame | None:
    """DeeBERT's operating points down to 90 % of the second tier's metric; None where it was not measured.

    The first exits are often close to chance: drawn to their end, the curve would press all others together.
    """
    if measured.early_exit is None:
        return None
    metric = measured.metric
    return measured.early_exit[measured.early_exit[metric] >= 0.9 * measured.second_only[metric]]


def error_table(measured: Measured) -> pd.DataFrame:
    """Changes from the first tier to the second by tenth of the confidence."""
    confidence = measured.predictions["confidence"].to_numpy()
    return pd.DataFrame(errors_by_confidence(measured.outcomes, measured.metric, confidence))

"""What the figures show beside the operating points: the baselines' curves, and where the tiers differ."""

from __future__ import annotations

import pandas as pd

from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.report.run_files import Measured


def baseline_points(measured: Measured) -> pd.DataFrame:
    """Curves of the kinds `random` and `oracle`: `deferral_rate`, `speedup` at batch 1, and the run's metric."""
    outcomes, timing, second_s = measured.outcomes, measured.examples.timing, measured.second_only["time_s"]
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


def neighbour_points(measured: Measured) -> dict[str, pd.DataFrame]:
    """Points of `deebert` and `dynamic_tinybert`, where measured, from 90 % of the second tier's metric, by speedup.

    The first exits are often close to chance: drawn to their end, the curve would press all others together.
    """
    metric, found = measured.metric, {"deebert": measured.early_exit, "dynamic_tinybert": measured.dynamic}
    lowest = 0.9 * measured.second_only[metric]
    return {
        kind: points[points[metric] >= lowest].sort_values("speedup")
        for kind, points in found.items()
        if points is not None
    }


def error_table(measured: Measured) -> pd.DataFrame:
    """Changes from the first tier to the second by tenth of the confidence."""
    confidence = measured.predictions["confidence"].to_numpy()
    return pd.DataFrame(errors_by_confidence(measured.outcomes, measured.metric, confidence))

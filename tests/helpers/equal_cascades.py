"""Two measurements of one cascade, which differ in nothing but times."""

import json
from pathlib import Path

import pandas as pd

TIMES = ("time", "seconds", "speed", "throughput", "per_s", "_s")


def without_times(table: pd.DataFrame) -> pd.DataFrame:
    return table[[name for name in table if not any(word in name for word in TIMES)]]


def assert_equal_cascades(left: Path, right: Path) -> None:
    """Equal but for what was timed."""
    for name in ("predictions", "calibration_predictions", "operating_points"):
        tables = [without_times(pd.read_parquet(folder / f"{name}.parquet")) for folder in (left, right)]
        pd.testing.assert_frame_equal(*tables)
    one, other = (json.loads((folder / "summary.json").read_text()) for folder in (left, right))
    assert [tier["metrics"] for tier in one["tiers"]] == [tier["metrics"] for tier in other["tiers"]]
    for key in ("target", "threshold", "deferral_rate", "metric_value"):
        assert one["chosen"][key] == other["chosen"][key]

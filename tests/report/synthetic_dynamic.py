"""A Dynamic-TinyBERT's results put beside a finished run, as the cascade stage does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.speedup import point_keeping
from tangodistill.cascade.summary import speedups_kept


def add_dynamic(run: Path, best: float = 0.995) -> dict:
    """Write dynamic_tinybert.parquet and `dynamic_tinybert` in summary.json; returns the latter.

    Args: `best` share of the second tier's metric that the full network reaches; each configuration has less.
    """
    folder = run / "cascade"
    summary = json.loads((folder / "summary.json").read_text())
    points = pd.read_parquet(folder / "operating_points.parquet")
    metric, second = summary["metric"], points[points["kind"] == "second_only"].iloc[0]
    shares, n = np.linspace(1, 0.3, 8), summary["n"]
    speedup = 4 / (0.3 + 0.7 * shares)
    values = second[metric] * (best - 0.2 * (1 - shares) ** 2)
    own = {
        "kind": np.repeat("dynamic_tinybert", len(shares)),
        "lengths": [[1.0, float(share), float(share), 0.3] for share in shares],
        **{name: values for name in summary["tiers"][0]["metrics"] if name in points},
        "time_s": second["time_s"] / speedup,
        "throughput_per_s": n * speedup / second["time_s"],
        "speedup": speedup,
    }
    pd.DataFrame(own).to_parquet(folder / "dynamic_tinybert.parquet")
    row = point_keeping(own, 0.99, metric, second[metric])
    point = None if row is None else {
        "lengths": own["lengths"][row], "metric_value": float(values[row]), "speedup": float(speedup[row]),
        "throughput_per_s": float(own["throughput_per_s"][row]), "measured_s": float(own["time_s"][row]),
    }  # fmt: skip
    summary["dynamic_tinybert"] = {
        "name": "dynamic", "parameters": 14_000_000, **speedups_kept(own, metric, second[metric]), "point_at_99": point,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return summary["dynamic_tinybert"]

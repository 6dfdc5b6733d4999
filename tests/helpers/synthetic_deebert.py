"""A DeeBERT model's results put beside a finished run, as the cascade stage does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.exits import exit_points
from tangodistill.cascade.speedup import point_keeping, speedup_at

EXITS = 6


def add_deebert(run: Path) -> dict:
    """Write early_exit_points.parquet, its examples and `deebert` in summary.json; returns the latter."""
    folder = run / "cascade"
    summary = json.loads((folder / "summary.json").read_text())
    report, points = (pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "operating_points"))
    metric, second = summary["metric"], points[points["kind"] == "second_only"].iloc[0]
    rng = np.random.default_rng(3)
    final = np.stack(report["tier2_logits"].to_numpy())
    logits = np.stack(
        [final * (0.5 + j / 10) + rng.normal(0, (EXITS - 1 - j) / 2, final.shape) for j in range(EXITS)], 1
    )
    shares = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    entropies = -(shares * np.log(shares)).sum(2)[:, :-1].astype(np.float32)
    seconds = report["tier2_time_s"].to_numpy()[:, None] * np.linspace(0.2, 1.05, EXITS)
    answers, second_s = logits.argmax(axis=2), report["tier2_time_s"].to_numpy()
    own = exit_points(report["label"].to_numpy(), answers, entropies, seconds, second_s.sum(), logits.shape[2])
    examples = {"answer": list(answers), "entropy": list(entropies), "seconds": list(seconds), "second_s": second_s}
    pd.DataFrame(examples).to_parquet(folder / "early_exit_examples.parquet")
    pd.DataFrame(own).to_parquet(folder / "early_exit_points.parquet")
    row = point_keeping(own, 0.99, metric, second[metric])
    at = {key: speedup_at(share, own["speedup"], own[metric], second[metric]) for key, share in
          (("speedup_at_99", 0.99), ("speedup_at_98", 0.98))}  # fmt: skip
    scores = [{name: 0.5 + (i + j) / 20 for i, name in enumerate(("accuracy", "f1", "mcc"))} for j in range(EXITS)]
    batched = {"threshold": 0.1, "batch_size": 16, "metric_value": 0.873, "measured_s": 0.8,
               "measured_second_only_s": 1.2, "throughput_per_s": 500.0, "speedup": 1.5}  # fmt: skip
    summary["deebert"] = {
        "name": "deebert", "parameters": 23_000_000, "exits": EXITS, "metrics": scores,
        "time_s_per_exit": seconds.mean(axis=0).tolist(),
        **{key: {"batch1": a.interpolated, "attained_batch1": a.attained, "reason": a.reason} for key, a in at.items()},
        "point_at_99": {
            "threshold": float(own["threshold"][row]), "metric_value": float(own[metric][row]),
            "speedup": float(own["speedup"][row]),
            "examples_per_exit": [int(own[f"exit{j + 1}"][row]) for j in range(EXITS)],
            "predicted_s": float(own["time_s"][row]), "measured_s": 1.02 * float(own["time_s"][row]),
        },
        "batched": [{"keeps": 0.99, **batched}, {"keeps": 0.98, **batched}],
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return summary["deebert"]

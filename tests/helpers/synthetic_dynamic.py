"""A Dynamic-TinyBERT's results put beside a finished run, as the cascade stage does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.outcomes import GRADES, ClassOutcomes, GradedOutcomes
from tangodistill.cascade.speedup import point_keeping
from tangodistill.cascade.summary import speedups_kept


def add_dynamic(run: Path, best: float = 1.0) -> dict:
    """Write dynamic_tinybert.parquet, its examples and `dynamic_tinybert` in summary.json; returns the latter.

    Args: `best` about the share of the second tier's metric that the full network reaches; each configuration has less.
    """
    folder = run / "cascade"
    summary = json.loads((folder / "summary.json").read_text())
    report, points = (pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "operating_points"))
    metric, second = summary["metric"], points[points["kind"] == "second_only"].iloc[0]
    shares, n = np.linspace(1, 0.3, 8), summary["n"]
    speedup = 4 / (0.3 + 0.7 * shares)
    lost = np.rint(second[metric] * (1 - best + 0.25 * (1 - shares) ** 2) * n).astype(int)
    marks, outcomes = _worsened(report, lost, len(summary["label_names"]))
    seconds = report["tier2_time_s"].to_numpy()[:, None] / speedup
    examples = {
        **{name: list(columns.T) for name, columns in marks.items()},
        "seconds": list(seconds),
        "second_s": report["tier2_time_s"],
    }
    pd.DataFrame(examples).to_parquet(folder / "dynamic_tinybert_examples.parquet")
    own = {
        "kind": np.repeat("dynamic_tinybert", len(shares)),
        "lengths": [[1.0, float(share), float(share), 0.3] for share in shares],
        **{name: np.array([each.tier_score(1, name) for each in outcomes]) for name in outcomes[0].metrics},
        "time_s": seconds.sum(axis=0),
        "throughput_per_s": n / seconds.sum(axis=0),
        "speedup": speedup,
    }
    pd.DataFrame(own).to_parquet(folder / "dynamic_tinybert.parquet")
    row = point_keeping(own, 0.99, metric, second[metric])
    point = None if row is None else {
        "lengths": own["lengths"][row], "metric_value": float(own[metric][row]), "speedup": float(speedup[row]),
        "throughput_per_s": float(own["throughput_per_s"][row]), "measured_s": float(own["time_s"][row]),
    }  # fmt: skip
    summary["dynamic_tinybert"] = {
        "name": "dynamic", "parameters": 14_000_000, **speedups_kept(own, metric, second[metric]), "point_at_99": point,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return summary["dynamic_tinybert"]


def _worsened(report: pd.DataFrame, lost, classes: int):
    """The second tier's answers with `lost` (configurations,) of the right ones made wrong: marks, and outcomes."""
    if "label" not in report:
        graded = {name: _without(report[f"tier2_{name}"].to_numpy(), lost) for name in GRADES}
        both = {name: own[:, None] for name, own in graded.items()}  # (configurations, 1, n)
        return graded, [GradedOutcomes({name: own[i] for name, own in both.items()}) for i in range(len(lost))]
    labels, answers = report["label"].to_numpy(), np.stack(report["tier2_logits"].to_numpy()).argmax(axis=1)
    right = _without((answers == labels).astype(float), lost) == 1
    given = np.where(right, labels, (labels + 1) % classes)
    return {"answer": given}, [ClassOutcomes(labels, own[None], classes) for own in given]


def _without(scores: np.ndarray, lost) -> np.ndarray:
    """(configurations, n): the first `lost` scores above zero are zero."""
    rank = np.cumsum(scores > 0)
    return np.stack([np.where((scores > 0) & (rank <= count), 0.0, scores) for count in lost])

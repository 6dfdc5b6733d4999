"""A finished run on disk, made from given logits and plausible times."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import Target, choose
from tangodistill.cascade.outcomes import outcomes_of
from tangodistill.cascade.summary import chosen_with_confidence, operating_points, summarise
from tangodistill.cascade.threshold_grid import threshold_grid
from tangodistill.cascade.timing import timing_of

SIZES = (1, 8, 32, 64)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def random_logits(n, seed):
    """Labels and two tiers' logits: the second tier is better, the first unsure where it is wrong."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    sign = 2 * labels - 1
    difficulty = rng.gamma(2.0, 1.0, n)
    score1 = sign * (difficulty - 0.7) + rng.normal(0, 0.5, n)
    score2 = sign * (1.4 * difficulty - 0.35) + rng.normal(0, 0.5, n)
    return labels, np.column_stack([-score1, score1]), np.column_stack([-score2, score2])


def _predictions(labels, logits1, logits2, rng, prefix):
    logits1, logits2 = logits1.astype(np.float32), logits2.astype(np.float32)
    words = rng.integers(4, 40, len(labels))
    return pd.DataFrame(
        {
            "example_id": [f"{prefix}-{i}" for i in range(len(labels))],
            "label": labels.astype(np.int64),
            "tier1_logits": list(logits1),
            "tier2_logits": list(logits2),
            "confidence": softmax(logits1).max(axis=1).astype(np.float32),
            "tier1_time_s": (0.00045 + 8e-6 * words) * rng.normal(1, 0.03, len(labels)),
            "tier2_time_s": (0.0062 + 1.3e-4 * words) * rng.normal(1, 0.03, len(labels)),
        }
    )


def _batch_times(n, rng):
    per_example = {1: {1: 6.1e-4, 8: 1.9e-4, 32: 1.1e-4, 64: 1.0e-4}, 2: {1: 8.9e-3, 8: 4.4e-3, 32: 3.1e-3, 64: 3.3e-3}}
    return pd.DataFrame(
        [
            {
                "tier": tier,
                "batch_size": size,
                "repeat": repeat,
                "n": n,
                "seconds": n * per_example[tier][size] * rng.normal(1, 0.01),
            }
            for tier in (1, 2)
            for size in SIZES
            for repeat in range(5)
        ]
    )


def write_run(
    run: Path,
    labels,
    logits1,
    logits2,
    *,
    task="sst2",
    metric="accuracy",
    file="test_labelled.tsv",
    slower=1.04,
    positive=1,
) -> dict:
    """Write ``run``/cascade as the cascade stage does, and return its summary.

    Args:
        slower: measured over predicted time of the chosen point.
        positive: the class of two that F1 is of.
    """
    rng = np.random.default_rng(0)
    folder = run / "cascade"
    folder.mkdir(parents=True, exist_ok=True)
    n, half, classes = len(labels), len(labels) // 2, logits1.shape[1]
    report = _predictions(labels, logits1, logits2, rng, "test")
    calibration = _predictions(labels[:half], logits1[:half], logits2[:half], rng, "dev")
    batches = _batch_times(n, rng)
    best_sizes = batches.groupby(["tier", "batch_size"])["seconds"].mean().unstack().idxmin(axis=1)
    best_s = batches.groupby(["tier", "batch_size"])["seconds"].mean().unstack().min(axis=1)
    outcomes = outcomes_of(report, positive)
    timing = timing_of(report, batches, best_sizes.to_list())
    columns = operating_points(outcomes, report["confidence"].to_numpy(), timing)
    target = Target("keep", 0.99)
    chosen = choose(columns, target, metric)
    calibration_set = CalibrationSet(calibration["confidence"], threshold_grid("max_probability", classes))
    tiers = [
        {
            "name": name, "path": f"{name}/model", "parameters": parameters, "engine": "torch", "precision": "fp32",
            "metrics": {key: outcomes.tier_score(tier, key) for key in outcomes.metrics},
            "throughput_batch1_per_s": float(n / report[f"tier{tier}_time_s"].sum()),
            "best_batch_size": int(best_sizes[tier]), "throughput_best_batch_per_s": float(n / best_s[tier]),
        }
        for tier, (name, parameters) in enumerate([("student", 684_922), ("teacher", 22_713_986)], start=1)
    ]  # fmt: skip
    summary = {
        "task": task, "split": f"report ({file}, {n:,} rows)", "n": n, "metric": metric,
        "label_names": ["negative", "positive", "neutral"][:classes], "protocol": "natural", "tiers": tiers,
        **summarise(columns, outcomes, timing, metric, target),
        "chosen": {
            "target": str(target), "chosen_on": f"calibration (dev.tsv, {half:,} rows)", "threshold": chosen.threshold,
            "deferral_rate": chosen.deferral_rate, "metric_value": chosen.metric_value,
            "predicted_s": chosen.predicted_s, "measured_s": slower * chosen.predicted_s,
        },
        "chosen_with_confidence": chosen_with_confidence(
            columns, outcomes_of(calibration, positive), calibration_set, metric, target, chosen.threshold
        ),
        "machine": {"cpu": "AMD EPYC 9R14", "cores": 2, "threads": 2, "load_average": [0.31, 0.22, 0.1]},
        "versions": {"tangodistill": "0.1.0", "torch": "2.13.0+cpu", "transformers": "5.24.0"}, "seed": 0,
        "calibration_of_tier1": {"ece": 0.0312, "auroc": 0.8321},
    }  # fmt: skip
    report.to_parquet(folder / "predictions.parquet")
    calibration.to_parquet(folder / "calibration_predictions.parquet")
    pd.DataFrame(columns).to_parquet(folder / "operating_points.parquet")
    batches.to_parquet(folder / "batch_times.parquet")
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    return summary

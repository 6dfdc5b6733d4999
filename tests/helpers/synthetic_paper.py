"""Finished runs of the paper's data sets: of classes, and of SQuAD's spans."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from synthetic_run import random_logits, write_run

from tangodistill.cascade.examples import Examples
from tangodistill.cascade.outcomes import GradedOutcomes
from tangodistill.cascade.speedup import speedup_at
from tangodistill.cascade.timing import TierTime, Timing

BILSTM = {"model_type": "bilstm", "hidden_size": 64}
TINYBERT4 = {"model_type": "bert", "num_hidden_layers": 4, "hidden_size": 312}
MINILM = {"model_type": "bert", "num_hidden_layers": 6, "hidden_size": 384}
BERT = {"model_type": "bert", "num_hidden_layers": 12, "hidden_size": 768}
ROBERTA = {**BERT, "model_type": "roberta"}


def write_paper_run(run: Path, task, metric="accuracy", tiers=(BILSTM, ROBERTA), n=200, seed=1, recipe="") -> dict:
    """A run with its tiers' configurations, roles and transfer set; returns its summary."""
    write_run(run, *random_logits(n, seed), task=task, metric=metric)
    _write_tiers(run, tiers)
    (run / "label").mkdir(exist_ok=True)
    (run / "label" / "manifest.json").write_text(json.dumps({"rows": 300_000}))
    if recipe:
        logger = {"init_args": {"name": f"{recipe}-cascade"}}
        (run / "cascade" / "config.yaml").write_text(yaml.safe_dump({"trainer": {"logger": logger}}))
    return _change(run, roles={"train": "train.tsv without the slices, 65,334 rows"})


def write_span_run(run: Path, n=120, tiers=({**TINYBERT4, "model_type": "dynamic_tinybert"}, BERT)) -> dict:
    """A SQuAD run: answers in words, and an exact match and an F1 per example."""
    labels, logits1, logits2 = random_logits(n, 5)
    write_run(run, labels, logits1, logits2, task="squad", metric="f1", file="dev-v1.1.json")
    folder, rng = run / "cascade", np.random.default_rng(2)
    frame = pd.read_parquet(folder / "predictions.parquet")
    exact = [(logits.argmax(axis=1) == labels).astype(float) for logits in (logits1, logits2)]
    f1 = [np.where(each == 1, 1.0, rng.choice([0.0, 0.4, 0.8], n)) for each in exact]
    spans = frame[["example_id", "confidence", "tier1_time_s", "tier2_time_s"]].assign(
        gold=[["Denver Broncos", "the Broncos"]] * n,
        **{f"tier{tier}_answer": "Broncos" for tier in (1, 2)},
        **{f"tier{tier}_em": exact[tier - 1] for tier in (1, 2)},
        **{f"tier{tier}_f1": f1[tier - 1] for tier in (1, 2)},
    )
    times = (spans[f"tier{tier}_time_s"].to_numpy() for tier in (1, 2))
    timing = Timing(tuple(TierTime(each, np.array([1]), np.array([1.0]), 1) for each in times))
    outcomes = GradedOutcomes({"em": np.stack(exact), "f1": np.stack(f1)})
    curves = Examples("f1", outcomes, spans["confidence"].to_numpy(), timing).curves()
    spans.to_parquet(folder / "predictions.parquet")
    _write_tiers(run, tiers)
    speedup, values = curves["cascade"]
    points = pd.read_parquet(folder / "operating_points.parquet").drop(columns=["accuracy", "mcc"])
    points["f1"] = points["em"] = np.append(values, f1[1].mean())
    points.to_parquet(folder / "operating_points.parquet")
    (run / "student").mkdir()
    (run / "student" / "stage.json").write_text("{}")
    at = {kind: _speedups(*curve, f1[1].mean()) for kind, curve in curves.items()}
    return _change(run, label_names=[], random=at["random"], oracle=at["oracle"], **at["cascade"])


def _speedups(speedup, metric, second) -> dict:
    found = {f"speedup_at_{share}": speedup_at(share / 100, speedup, metric, second) for share in (99, 98)}
    return {name: {"batch1": at.interpolated, "best_batch": at.interpolated} for name, at in found.items()}


def _write_tiers(run: Path, tiers) -> None:
    for number, config in enumerate(tiers, start=1):
        folder = run / "cascade" / f"tier{number}"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))


def _change(run: Path, **values) -> dict:
    path = run / "cascade" / "summary.json"
    summary = json.loads(path.read_text()) | values
    path.write_text(json.dumps(summary))
    return summary

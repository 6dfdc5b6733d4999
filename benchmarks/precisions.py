"""What each engine and precision costs in quality: per tier, and for the cascade, against PyTorch in fp32.

    python benchmarks/precisions.py runs/sst2/cascade --data SST-2 --task sst2 [--keep 0.99] [--json FILE]

Every format that `export` left in the cascade folder answers the calibration and the report role. A cascade of two
formats gets its own threshold: the least deferral that keeps the share of its second tier's metric on the calibration
role. All numbers shown are on the report role. Nothing is timed.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from datasets import Dataset

from tangodistill.cascade.confidence import confidence
from tangodistill.cascade.sweep import sweep
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.exporting import accepted
from tangodistill.metrics import class_counts, scores_from_counts
from tangodistill.runtime.cascade_folder import CascadeRecord, read_cascade
from tangodistill.runtime.engine_key import split_key
from tangodistill.runtime.engines import label_columns, load_engine

REFERENCE = "torch-fp32"
Logits = dict[tuple[int, str], np.ndarray]  # (tier, format) -> (n, classes), in the cascade's label order


def answers(folder: Path, record: CascadeRecord, rows: Dataset) -> Logits:
    """Every accepted format of both tiers on the rows of a role."""
    texts, pairs = list(rows["text"]), list(rows["text_pair"]) if "text_pair" in rows.column_names else None
    found = {}
    for number, tier in enumerate(record.tiers, 1):
        for key in accepted(folder, number):
            name, precision, lengths = split_key(key)
            engine = load_engine(folder / tier.path, name, precision, tier.max_length, length_configuration=lengths)
            found[number, key] = engine.outputs(texts, pairs, 32)[:, label_columns(engine, record.label_names)]
    return found


def score(labels: np.ndarray, predictions: np.ndarray, classes: int, metric: str) -> float:
    return float(scores_from_counts(class_counts(labels, predictions, classes))[metric])


def of_tiers(found: Logits, labels: np.ndarray, metric: str) -> list[dict]:
    rows = []
    for (tier, key), logits in found.items():
        reference = found[tier, REFERENCE]
        value, expected = (score(labels, each.argmax(1), each.shape[1], metric) for each in (logits, reference))
        rows.append(
            {
                "tier": tier,
                "format": key,
                metric: value,
                "against_fp32": value - expected,
                "same_labels": float((logits.argmax(1) == reference.argmax(1)).mean()),
            }
        )
    return rows


def of_cascades(on: dict[str, Logits], labels: dict[str, np.ndarray], metric: str, keep: float) -> list[dict]:
    """The first tier in each precision with the second in each; other engines in fp32 would only repeat the first."""
    rows = []
    keys = {
        tier: [key for number, key in on["report"] if number == tier and (key == REFERENCE or not key.endswith("fp32"))]
        for tier in (1, 2)
    }
    for first, second in product(keys[1], keys[2]):
        swept = {}
        for role, found in on.items():
            gate, judge = found[1, first], found[2, second]
            classes = gate.shape[1]
            swept[role] = sweep(labels[role], gate.argmax(1), judge.argmax(1), confidence(gate), classes)
        values = swept["calibration"].metric(metric)
        threshold = swept["calibration"].threshold[np.argmax(values >= keep * values[-1])]
        report = swept["report"]
        point = min(int(np.searchsorted(report.threshold, threshold)), len(report.threshold) - 1)
        value = float(report.metric(metric)[point])
        rows.append(
            {
                "first": first,
                "second": second,
                "threshold": float(threshold),
                "deferral_rate": float(report.deferral_rate[point]),
                metric: value,
            }
        )
    plain = next(row[metric] for row in rows if (row["first"], row["second"]) == (REFERENCE, REFERENCE))
    return [{**row, "against_fp32": row[metric] - plain} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cascade", type=Path)
    parser.add_argument("--data", required=True, help="GLUE folder or table that the cascade was measured on")
    parser.add_argument("--task", default="custom")
    parser.add_argument("--keep", type=float, default=0.99, help="share of the second tier's metric")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    roles, record = load_roles(DatasetConfig(arguments.data, arguments.task)), read_cascade(arguments.cascade)
    rows = {"calibration": roles.calibration, "report": roles.report}
    on = {role: answers(arguments.cascade, record, each) for role, each in rows.items()}
    labels = {role: np.asarray(each["label"]) for role, each in rows.items()}
    metric = roles.task.metric
    tiers, cascades = of_tiers(on["report"], labels["report"], metric), of_cascades(on, labels, metric, arguments.keep)
    print(f"{len(labels['report']):,} texts of the report role ({roles.files['report']})")
    print(f"{'tier':6}{'format':26}{metric:>9}{'Δ':>9}{'same':>9}")
    for row in tiers:
        print(
            f"{row['tier']:<6}{row['format']:26}{row[metric]:9.4f}{row['against_fp32']:+9.4f}{row['same_labels']:9.2%}"
        )
    print(f"\n{'first tier':26}{'second tier':26}{metric:>9}{'Δ':>9}{'deferred':>10}")
    for row in cascades:
        print(
            f"{row['first']:26}{row['second']:26}{row[metric]:9.4f}{row['against_fp32']:+9.4f}"
            f"{row['deferral_rate']:10.1%}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"tiers": tiers, "cascades": cascades}, indent=2) + "\n")


if __name__ == "__main__":
    main()

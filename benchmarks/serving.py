"""The cascade against what a user would run instead, from raw text, on the same texts, in interleaved repeats.

    python benchmarks/serving.py runs/sst2/cascade --data SST-2 --task sst2 --json serving.json --figure serving.png

Compared, each with its accuracy on all texts (F1 where questions are answered by spans) and called as it is served,
with checks and answers: the second tier at its fastest setting for each way of use, the cascade, the first tier alone,
`transformers.pipeline` of the second tier (of labels alone: transformers 5 has none for spans), the second tier in ONNX
Runtime int8 (agreeing or not), and DeeBERT where a folder is given, at the entropy that keeps 99 % of the second tier
on the calibration role. One text at a time on `--single` texts spread evenly, and in batches of each one's best size on
all texts.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from datasets import Dataset
from tangodistill.tuning.tier_pair import TierPair
from transformers import pipeline

from tangodistill.cascade.exits import exit_points
from tangodistill.cascade.speedup import point_keeping
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.engines.early_exit import EarlyExitEngine
from tangodistill.engines.engine import Engine, label_columns
from tangodistill.engines.exported import GRAPH_OF
from tangodistill.engines.graphs import write_int8
from tangodistill.engines.loading import load_engine, recorded_engine
from tangodistill.engines.tier_record import GRAPHS
from tangodistill.latency.batch_size import find_batch_sizes
from tangodistill.latency.machine import describe_machine, library_versions
from tangodistill.latency.timer import time_interleaved
from tangodistill.predictor.answers import Readout
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.predictor.served import alone, rows_of

SEARCHED = 400  # texts that batch sizes are searched on
Row = str | tuple[str, str]


@dataclass
class Contender:
    """Something that answers texts, as whoever uses it would call it."""

    one: Callable[[Row], object]
    many: Callable[[list[Row], int], list]  # rows, batch size
    engine: str
    batch_size: int = 0  # 0: to be searched

    def answers(self, rows: list[Row], batch_size: int) -> list:
        return [self.one(row) for row in rows] if batch_size == 1 else self.many(rows, batch_size)


def of_engines(single: Engine, batched: Engine, readout: Readout, paired: bool, batch_size: int = 0) -> Contender:
    """A tier by itself: one engine for one text at a time, one for batches."""
    served = cache(lambda size: alone(batched, readout, paired, size))
    engines = " / ".join(dict.fromkeys(f"{each.key} ({each.threads or 'all'} threads)" for each in (single, batched)))
    one = alone(single, readout, paired).predict
    return Contender(one, lambda rows, size: served(size).predict(rows), engines, batch_size)


def of_engine(engine: Engine, readout: Readout, paired: bool) -> Contender:
    return of_engines(engine, engine, readout, paired)


def of_second_tier(folder: Path, cascade: CascadePredictor) -> Contender:
    """At its fastest setting for each way of use, as the cascade stage found them."""
    record, summary = read_cascade(folder), json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    single, batched = (
        recorded_engine(
            folder,
            replace(record.tiers[1], **{name: found[name] for name in ("engine", "precision", "threads")}),
        )
        for found in (summary["reference"][way] for way in ("batch1", "best_batch"))
    )
    size = summary["reference"]["best_batch"]["batch_size"]
    return of_engines(single, batched, cascade.readout, len(cascade.text_columns) == 2, size)


def of_cascade(cascade: CascadePredictor) -> Contender:
    """Both tiers at their own best batch sizes."""
    engines = " + ".join(tier.engine.key for tier in cascade.tiers)
    return Contender(cascade.predict, lambda rows, _: cascade.predict(rows), engines, cascade.tiers[-1].batch_size)


def of_pipeline(folder: Path, max_length: int) -> Contender:
    """As its documentation has it: texts in the order in which they come, padded to the longest of a batch."""
    classify = pipeline("text-classification", model=str(folder), device="cpu")

    def many(rows: list[Row], size: int) -> list[dict]:
        given = [row if isinstance(row, str) else dict(zip(("text", "text_pair"), row, strict=True)) for row in rows]
        return classify(given, batch_size=size, truncation=True, max_length=max_length)

    return Contender(lambda row: many([row], 1)[0], many, "transformers.pipeline")


def outputs_of(answers: list, label_names: tuple[str, ...]) -> np.ndarray:
    """Outputs (n, k) that say what the answers do: predictions, or dictionaries of a pipeline."""
    if not label_names:
        return np.array([[each.start, each.end, each.probability] for each in answers], np.float32)
    given = [each["label"] if isinstance(each, dict) else each.label for each in answers]
    return np.eye(len(label_names))[[label_names.index(label) for label in given]]


def of_early_exit(folder: str, readout: Readout, max_length: int, calibration: Dataset) -> Contender:
    """DeeBERT, leaving at the highest entropy that keeps 99 % of its last exit's accuracy on the calibration role."""
    engine = EarlyExitEngine.load(folder, max_length=max_length)
    pairs = calibration["text_pair"] if "text_pair" in calibration.column_names else [None] * len(calibration)
    exits = [engine.every_exit(text, pair) for text, pair in zip(calibration["text"], pairs, strict=True)]
    logits, entropies, seconds = (np.stack(column) for column in zip(*exits, strict=True))
    logits, labels = logits[:, :, label_columns(engine, readout.label_names)], np.asarray(calibration["label"])
    answers = logits.argmax(axis=2)
    points = exit_points(labels, answers, entropies, seconds, float(seconds[:, -1].sum()), logits.shape[2])
    accuracy = float((answers[:, -1] == labels).mean())
    engine.leave_below(float(points["threshold"][point_keeping(points, 0.99, "accuracy", accuracy)]))
    return of_engine(engine, readout, "text_pair" in calibration.column_names)


def with_int8(tier: Path) -> Path:
    """A folder with the tier's graph in dynamic int8, whether or not `export` would let it answer."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(tier / GRAPHS, folder / GRAPHS)
    write_int8(folder / GRAPHS / GRAPH_OF["fp32"])
    return folder


def contenders(folder: Path, early_exit: str | None, calibration: Dataset) -> dict[str, Contender]:
    record, cascade = read_cascade(folder), CascadePredictor.from_pretrained(folder)
    readout, second, paired = cascade.readout, folder / record.tiers[1].path, len(cascade.text_columns) == 2
    length = cascade.tiers[-1].engine.max_length
    found = {
        "second tier": of_second_tier(folder, cascade),
        "cascade": of_cascade(cascade),
        "first tier": of_engine(cascade.tiers[0].engine, readout, paired),
    }
    if record.label_names:
        found["pipeline"] = of_pipeline(second, length)
    else:
        print("transformers.pipeline is left out: transformers 5 has none for question answering")
    if "onnxruntime-int8" not in found["second tier"].engine:
        int8 = load_engine(with_int8(second), "onnxruntime", "int8", length, record.tiers[1].threads)
        found["int8"] = of_engine(int8, readout, paired)
    if early_exit:
        found["second tier, PyTorch"] = of_engine(load_engine(second, "torch", "fp32", length), readout, paired)
        found["DeeBERT"] = of_early_exit(early_exit, readout, length, calibration)
    return found


def measure(found: dict[str, Contender], report: TierPair, single: int, repeats: int) -> dict[str, dict]:
    rows, answers = rows_of(report.texts, report.pairs), {}
    few, some = ([rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, n).astype(int))] for n in (single, SEARCHED))
    lengths = np.array([len(" ".join([row] if isinstance(row, str) else row).split()) for row in some])
    for name, contender in found.items():
        if not contender.batch_size:

            def run(chosen, size, c=contender):
                c.answers([some[i] for i in chosen], size)

            contender.batch_size = find_batch_sizes({name: run}, {name: lengths}, 3, 20.0)[0][name]

    def answer_all(name: str, contender: Contender) -> None:
        answers[name] = contender.many(rows, contender.batch_size)

    one = time_interleaved({n: lambda c=c: c.answers(few, 1) for n, c in found.items()}, repeats)
    many = time_interleaved({n: lambda n=n, c=c: answer_all(n, c) for n, c in found.items()}, repeats, warmup=0)
    alone_s, batch_s = one.seconds, many.seconds
    return {
        name: {
            "engine": contender.engine,
            report.metric: report.score(outputs_of(answers[name], report.label_names)),
            "best_batch_size": contender.batch_size,
            "ms_one_at_a_time": (alone_s[name] / len(few) * 1e3).tolist(),
            "ms_best_batch": (batch_s[name] / len(rows) * 1e3).tolist(),
            "cascade_is_faster_one_at_a_time": spread(alone_s[name] / alone_s["cascade"]),
            "cascade_is_faster_best_batch": spread(batch_s[name] / batch_s["cascade"]),
            "under_load": name in one.under_load | many.under_load,
        }
        for name, contender in found.items()
    }


def spread(ratios: np.ndarray) -> list[float]:
    """Median, lowest and highest of the repeats' ratios."""
    return [float(np.median(ratios)), float(ratios.min()), float(ratios.max())]


def draw(rows: dict[str, dict], metric: str, path: str) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(rows) + 1.5), layout="constrained")
    places = np.arange(len(rows))
    for shift, key, label in ((-0.2, "ms_one_at_a_time", "one at a time"), (0.2, "ms_best_batch", "best batch")):
        values = [np.median(row[key]) for row in rows.values()]
        bars = axes.barh(places + shift, values, 0.38, label=label)
        axes.bar_label(bars, [f"{value:.2f} ms" for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, [f"{name} ({row[metric]:.1%})" for name, row in rows.items()])
    axes.set(xscale="log", xlabel="milliseconds per text, from raw text to label")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cascade", type=Path)
    parser.add_argument(
        "--data", required=True, help="GLUE folder, table or SQuAD folder that the cascade was measured on"
    )
    parser.add_argument("--task", default="custom")
    parser.add_argument("--early-exit", help="folder of a DeeBERT model on the same second tier")
    parser.add_argument("--single", type=int, default=200, help="texts to run one at a time")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    roles = load_roles(DatasetConfig(source=arguments.data, task=arguments.task))
    report = TierPair.of_cascade(arguments.cascade).on(roles.report)
    if report.label_names:
        report = replace(report, metric="accuracy")
    elif arguments.early_exit:
        parser.error("--early-exit: DeeBERT answers with labels, this cascade with spans")
    found = contenders(arguments.cascade, arguments.early_exit, roles.calibration)
    rows = measure(found, report, arguments.single, arguments.repeats)
    print(
        f"{len(report.texts):,} texts of the report role ({roles.files['report']}); {torch.get_num_threads()} threads"
    )
    ways = "cascade faster by: one at a time, in batches"
    print(f"{'':22}{report.metric_title:>9}{'ms, one':>9}{'ms, batch':>11}   {ways}")
    for name, row in rows.items():
        one, many = row["cascade_is_faster_one_at_a_time"], row["cascade_is_faster_best_batch"]
        print(
            f"{name:22}{row[report.metric]:9.4f}{np.median(row['ms_one_at_a_time']):9.3f}"
            f"{np.median(row['ms_best_batch']):11.3f}   {one[0]:.2f} ({one[1]:.2f}-{one[2]:.2f}), "
            f"{many[0]:.2f} ({many[1]:.2f}-{many[2]:.2f})   {row['engine']}, batch {row['best_batch_size']}"
            + ("   UNDER LOAD" if row["under_load"] else "")
        )
    if arguments.json:
        about = {"texts": len(report.texts), "machine": describe_machine(), "versions": library_versions()}
        arguments.json.write_text(json.dumps({"rows": rows, **about}, indent=2) + "\n")
    if arguments.figure:
        draw(rows, report.metric, arguments.figure)


if __name__ == "__main__":
    main()

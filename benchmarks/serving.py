"""The cascade against what a user would run instead, from raw text, on the same texts, in interleaved repeats.

    python benchmarks/serving.py runs/sst2/cascade --data SST-2 --task sst2 --json serving.json --figure serving.png

Compared, each with its accuracy on all texts (F1 where questions are answered by spans): the second tier and the
cascade on the engines that serve, the first tier alone, `transformers.pipeline` of the second tier (of labels alone:
transformers 5 has none for spans), the second tier in ONNX Runtime int8 (agreeing or not), and DeeBERT where a folder
is given, at the entropy that keeps 99 % of the second tier on the calibration role. One text at a time on `--single`
texts spread evenly, and in batches of each one's best size on all texts.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from datasets import Dataset
from transformers import pipeline

from tangodistill.cascade.exits import exit_points
from tangodistill.cascade.speedup import point_keeping
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.latency.batch_size import find_batch_sizes
from tangodistill.latency.machine import describe_machine, library_versions
from tangodistill.latency.timer import time_interleaved
from tangodistill.runtime.answers import Readout
from tangodistill.runtime.cascade_folder import GRAPHS, read_cascade
from tangodistill.runtime.early_exit import EarlyExitEngine
from tangodistill.runtime.engines import Engine, label_columns, load_engine
from tangodistill.runtime.exported import GRAPH_OF
from tangodistill.runtime.graphs import write_int8
from tangodistill.runtime.predictor import CascadePredictor
from tangodistill.tier_pair import TierPair

SEARCHED = 400  # texts that batch sizes are searched on
Answer = Callable[[list[str], list[str] | None, int], np.ndarray]  # texts, second texts, batch size -> outputs (n, k)


@dataclass
class Contender:
    """Something that answers texts."""

    answer: Answer
    engine: str
    batch_size: int = 0  # 0: to be searched


def of_engine(engine: Engine, readout: Readout) -> Contender:
    engine, columns = readout.of(engine)
    return Contender(lambda texts, pairs, size: engine.outputs(texts, pairs, size)[:, columns], engine.key)


def of_cascade(cascade: CascadePredictor) -> Contender:
    """Both tiers at their own best batch sizes, or both at 1."""
    single = CascadePredictor(
        (cascade.first.engine, cascade.second.engine), cascade.label_names, cascade.threshold, (1, 1),
        cascade.text_columns, cascade.readout.score,
    )  # fmt: skip

    def answer(texts: list[str], pairs: list[str] | None, size: int) -> np.ndarray:
        if size > 1:
            return cascade.answer(texts, pairs).outputs
        rows = [single.answer([text], [pairs[i]] if pairs else None) for i, text in enumerate(texts)]
        return np.concatenate([row.outputs for row in rows])

    return Contender(answer, f"{cascade.first.engine.key} + {cascade.second.engine.key}", cascade.second.batch_size)


def of_pipeline(folder: Path, label_names: tuple[str, ...], max_length: int) -> Contender:
    """As its documentation has it: texts in the order in which they come, padded to the longest of a batch."""
    classify = pipeline("text-classification", model=str(folder), device="cpu")

    def answer(texts: list[str], pairs: list[str] | None, size: int) -> np.ndarray:
        rows = [{"text": a, "text_pair": b} for a, b in zip(texts, pairs, strict=True)] if pairs else texts
        found = classify(rows, batch_size=size, truncation=True, max_length=max_length)
        return np.eye(len(label_names))[[label_names.index(row["label"]) for row in found]]

    return Contender(answer, "transformers.pipeline")


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
    return of_engine(engine, readout)


def with_int8(tier: Path) -> Path:
    """A folder with the tier's graph in dynamic int8, whether or not `export` would let it answer."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(tier / GRAPHS, folder / GRAPHS)
    write_int8(folder / GRAPHS / GRAPH_OF["fp32"])
    return folder


def contenders(folder: Path, early_exit: str | None, calibration: Dataset) -> dict[str, Contender]:
    record, cascade = read_cascade(folder), CascadePredictor.from_pretrained(folder)
    readout, second = cascade.readout, folder / record.tiers[1].path
    length = cascade.second.engine.max_length
    found = {
        "second tier": of_engine(cascade.second.engine, readout),
        "cascade": of_cascade(cascade),
        "first tier": of_engine(cascade.first.engine, readout),
    }
    if record.label_names:
        found["pipeline"] = of_pipeline(second, cascade.label_names, length)
    else:
        print("transformers.pipeline is left out: transformers 5 has none for question answering")
    if cascade.second.engine.key != "onnxruntime-int8":
        int8 = load_engine(with_int8(second), "onnxruntime", "int8", length, record.tiers[1].threads)
        found["int8"] = of_engine(int8, readout)
    if early_exit:
        found["second tier, PyTorch"] = of_engine(load_engine(second, "torch", "fp32", length), readout)
        found["DeeBERT"] = of_early_exit(early_exit, readout, length, calibration)
    return found


def measure(found: dict[str, Contender], report: TierPair, single: int, repeats: int) -> dict[str, dict]:
    texts, pairs = report.texts, report.pairs

    def part(rows) -> tuple[list[str], list[str] | None]:
        return [texts[i] for i in rows], [pairs[i] for i in rows] if pairs else None

    few, some = (np.unique(np.linspace(0, len(texts) - 1, count).astype(int)) for count in (single, SEARCHED))
    lengths, answers = np.array([sum(len(text[i].split()) for text in (texts, pairs) if text) for i in some]), {}
    for name, contender in found.items():
        if not contender.batch_size:

            def run(rows, size, c=contender):
                c.answer(*part(some[rows]), size)

            contender.batch_size = find_batch_sizes({name: run}, {name: lengths}, 3, 20.0)[0][name]

    def answer_all(name: str, contender: Contender) -> None:
        answers[name] = contender.answer(texts, pairs, contender.batch_size)

    alone = time_interleaved({n: lambda c=c: c.answer(*part(few), 1) for n, c in found.items()}, repeats)
    batch = time_interleaved({n: lambda n=n, c=c: answer_all(n, c) for n, c in found.items()}, repeats, warmup=0)
    return {
        name: {
            "engine": contender.engine,
            report.metric: report.score(answers[name]),
            "best_batch_size": contender.batch_size,
            "ms_one_at_a_time": (alone[name] / len(few) * 1e3).tolist(),
            "ms_best_batch": (batch[name] / len(texts) * 1e3).tolist(),
            "cascade_is_faster_one_at_a_time": spread(alone[name] / alone["cascade"]),
            "cascade_is_faster_best_batch": spread(batch[name] / batch["cascade"]),
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
    print(
        f"{'':22}{report.metric_title:>9}{'ms, one':>9}{'ms, batch':>11}   cascade faster by: one at a time, in batches"
    )
    for name, row in rows.items():
        one, many = row["cascade_is_faster_one_at_a_time"], row["cascade_is_faster_best_batch"]
        print(
            f"{name:22}{row[report.metric]:9.4f}{np.median(row['ms_one_at_a_time']):9.3f}"
            f"{np.median(row['ms_best_batch']):11.3f}   {one[0]:.2f} ({one[1]:.2f}-{one[2]:.2f}), "
            f"{many[0]:.2f} ({many[1]:.2f}-{many[2]:.2f})   {row['engine']}, batch {row['best_batch_size']}"
        )
    if arguments.json:
        about = {"texts": len(report.texts), "machine": describe_machine(), "versions": library_versions()}
        arguments.json.write_text(json.dumps({"rows": rows, **about}, indent=2) + "\n")
    if arguments.figure:
        draw(rows, report.metric, arguments.figure)


if __name__ == "__main__":
    main()

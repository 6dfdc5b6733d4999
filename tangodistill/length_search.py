"""Which length configurations of a Dynamic-TinyBERT are worth having on this machine, found by measuring."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from datasets import Dataset
from rich.progress import Progress

from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.data.transfer import write_json
from tangodistill.latency.machine import cpu_model
from tangodistill.latency.timer import time_interleaved
from tangodistill.length_evolution import generations
from tangodistill.metrics import METRICS, score
from tangodistill.models import DynamicTinyBertForSequenceClassification
from tangodistill.models.length_configuration import Lengths
from tangodistill.pareto import pareto_front
from tangodistill.runtime.engines import label_columns
from tangodistill.runtime.torch_engine import TorchEngine
from tangodistill.user_error import UserError

RECORD = "length_search.json"
TIMED_TEXTS = 64  # of the selection role, spread evenly over its lengths
SCORING_BATCH = 32
REPEATS = 5
AT_A_TIME = 10  # configurations that are timed in turns, and lost by a kill

Evaluate = Callable[[Sequence[Lengths]], Sequence[tuple[float, float]]]
"""Configurations -> for each its time, as a share of the full network's, and its score."""


def search_lengths(
    model: str,
    dataset: DatasetConfig,
    output: str,
    metric: str | None = None,
    iterations: int = 30,
    seconds: float | None = None,
    batch_size: int = 1,
    seed: int = 0,
) -> Path:
    """Search length configurations that are fast and good, on the selection role, and write all that was measured.

    A search that was cut off goes on with what it had measured; so does one that is given more iterations.

    Args:
        model: folder of a Dynamic-TinyBERT.
        dataset: the labelled data.
        output: folder for length_search.json.
        metric: accuracy, f1 or mcc; the task's own by default.
        iterations: generations of 60 configurations, after a first one of 20.
        seconds: after which the search stops, however many iterations it had.
        batch_size: examples in a forward pass, while timing.
        seed: of the search.

    Raises:
        UserError: the model has no length configuration, or the output holds another search.
    """
    roles = load_roles(dataset)
    engine = TorchEngine.load(model, roles.task.max_length)
    if not isinstance(engine.model, DynamicTinyBertForSequenceClassification):
        raise UserError(f"{model} is a {engine.model.config.model_type} model, which keeps all tokens. "
                        "Give the folder of a Dynamic-TinyBERT.")  # fmt: skip
    metric = metric or roles.task.metric
    if metric not in METRICS:
        raise UserError(f"metric is {metric!r}; allowed: {', '.join(METRICS)}.")
    evaluate = engine_evaluation(engine, roles.selection, roles.task.label_names, metric, batch_size)
    settings = {
        "model": model,
        "weights": hashlib.sha256((Path(model) / "model.safetensors").read_bytes()).hexdigest(),
        "rows": roles.files["selection"],
        "metric": metric,
        "batch_size": batch_size,
        "seed": seed,
        "machine": cpu_model(),
    }
    return search(engine.model.config.num_hidden_layers, evaluate, Path(output), settings, iterations, seconds, seed)


def engine_evaluation(
    engine: TorchEngine, rows: Dataset, names: Sequence[str], metric: str, batch_size: int
) -> Evaluate:
    """Times configurations in turns with the full network, and scores each on all rows of a labelled role."""
    labels, columns = np.asarray(rows["label"]), label_columns(engine, names)
    tokens = _encode(engine, rows)
    by_length = np.argsort(tokens.lengths, kind="stable")
    timed = _encode(engine, rows.select(by_length[np.linspace(0, len(rows) - 1, TIMED_TEXTS).astype(int)]))

    def answer(lengths: Lengths, texts: TokenizedTexts, size: int) -> np.ndarray:
        engine.model.config.length_configuration = list(lengths)
        logits = np.empty((len(texts), len(names)), np.float32)
        for batch, found in engine.run(texts, size):
            logits[batch] = found
        return logits[:, columns]

    def evaluate(configurations: Sequence[Lengths]) -> list[tuple[float, float]]:
        full = (1.0,) * len(configurations[0])
        runs = {str(lengths): lambda own=lengths: answer(own, timed, batch_size) for lengths in configurations}
        times = time_interleaved({"full": lambda: answer(full, timed, batch_size), **runs}, REPEATS)
        return [
            (
                float(np.median(times[str(lengths)] / times["full"])),
                score(metric, labels, answer(lengths, tokens, SCORING_BATCH).argmax(1), len(names)),
            )
            for lengths in configurations
        ]

    return evaluate


def search(
    layers: int,
    evaluate: Evaluate,
    output: Path,
    settings: dict[str, Any],
    iterations: int,
    seconds: float | None = None,
    seed: int = 0,
) -> Path:
    """The search itself, with its record in `output`; what `settings` say must be the same to go on with one.

    Raises:
        UserError: the output holds another search.
    """
    record, started = output / RECORD, perf_counter()
    recorded = _recorded(record, settings)
    measured: dict[Lengths, tuple[float, float]] = {}
    with Progress(auto_refresh=False) as progress:  # no thread beside what is timed
        bar = progress.add_task("search", total=iterations + 1)
        for _, wanted in zip(range(iterations + 1), generations(layers, seed, measured), strict=False):
            measured |= {lengths: recorded[lengths] for lengths in wanted if lengths in recorded}
            missing = [lengths for lengths in wanted if lengths not in measured]
            for start in range(0, len(missing), AT_A_TIME):
                if seconds is not None and perf_counter() - started > seconds:
                    return record
                part = missing[start : start + AT_A_TIME]
                measured |= zip(part, evaluate(part), strict=True)
                _write(record, settings, {**recorded, **measured})
            progress.update(bar, advance=1, refresh=True)
    return record


def _recorded(record: Path, settings: dict[str, Any]) -> dict[Lengths, tuple[float, float]]:
    if not record.is_file():
        return {}
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        found = {tuple(row["lengths"]): (row["time_share"], row["score"]) for row in content["evaluations"]}
        theirs = content["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{record} cannot be read ({error}). Remove it, or give another output.") from error
    for name, value in settings.items():
        if name != "model" and theirs.get(name) != value:  # which may lie elsewhere by now
            raise UserError(
                f"{record} holds a search whose {name} was {theirs.get(name)!r}; now it is {value!r}. Remove it, or "
                "give another output."
            )
    return found


def _write(record: Path, settings: dict[str, Any], measured: dict[Lengths, tuple[float, float]]) -> None:
    rows = [{"lengths": list(each), "time_share": time, "score": own} for each, (time, own) in measured.items()]
    times, scores = np.array(list(measured.values())).T
    front = [rows[i] for i in pareto_front(times, scores)]
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"settings": settings, "front": front, "evaluations": rows})


def _encode(engine: TorchEngine, rows: Dataset) -> TokenizedTexts:
    return engine.encoder.encode(*(list(rows[name]) for name in ("text", "text_pair") if name in rows.column_names))

"""Which length configurations of a Dynamic-TinyBERT are worth having on this machine, found by measuring."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console

from tangodistill.data.contents import model_hash
from tangodistill.data.sources import DatasetConfig, dataset_fingerprint
from tangodistill.data.splits import load_roles
from tangodistill.data.transfer import write_json
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.latency.machine import cpu_identity
from tangodistill.latency.timer import time_interleaved
from tangodistill.models.dynamic_tinybert import DynamicBert
from tangodistill.models.length_configuration import Lengths
from tangodistill.progress import Progress
from tangodistill.report.canvas import save
from tangodistill.report.lengths import front_table, length_figure
from tangodistill.tuning.length_evolution import generations
from tangodistill.tuning.length_front import RECORD
from tangodistill.tuning.pareto import pareto_front
from tangodistill.tuning.scored_examples import ScoredExamples
from tangodistill.user_error import UserError

TIMED = 32  # of the scored examples, spread evenly over their lengths
REPEATS = 3
ABOUT = ("model",)  # settings that may change between two sittings; the weights may not

Evaluate = Callable[[Sequence[Lengths]], Sequence[tuple[float, float]]]
"""Configurations -> for each its time, as a share of the full network's, and its score."""


def search_lengths(
    model: str,
    dataset: DatasetConfig,
    output: str,
    examples: int = 500,
    iterations: int = 30,
    seconds: float | None = 600.0,
    batch_size: int = 1,
    seed: int = 0,
) -> Path:
    """Search a Dynamic-TinyBERT's length configurations for those that are fast and good on this machine.

    Each configuration answers examples of the selection role in PyTorch: it is scored by the task's metric, and timed
    on a few of them, from raw text to answer (a question with all its windows), in turns with the full network. The
    record, length_search.json, holds all that was measured and its front; length_search.png shows both. A search that
    was cut off goes on with what it had measured; so does one that is given more iterations or seconds.

    Args:
        model: folder of a Dynamic-TinyBERT, for labels or for spans.
        dataset: the labelled data.
        output: folder of the results.
        examples: of the selection role, that a configuration is scored on at most, spread evenly.
        iterations: rounds of ten configurations; two of random ones come before those that are bred.
        seconds: after which no further round begins, however many iterations there were. null: no limit.
        batch_size: examples, or windows of them, in a forward pass while timing.
        seed: of the search.

    Raises:
        UserError: the model has no length configuration, or the output holds another search.
    """
    if min(examples, iterations, batch_size, 1 if seconds is None else seconds) <= 0:
        raise UserError(
            f"examples is {examples}, iterations {iterations}, batch_size {batch_size}, seconds {seconds}; a search "
            "needs more than 0 of each."
        )
    roles = load_roles(dataset)
    engine = TorchEngine.load(model, max_length=roles.task.max_length)
    if not isinstance(engine.model, DynamicBert):
        raise UserError(f"{model} is a {engine.model.config.model_type} model, which keeps all tokens. "
                        "Give the folder of a Dynamic-TinyBERT.")  # fmt: skip
    scored = ScoredExamples.of_role(roles, "selection").part(examples)
    settings = {
        "model": model,
        "contents": model_hash(model),
        "task": roles.task.name,
        "data": dataset_fingerprint(dataset),
        "split": f"selection: {roles.files['selection']}",
        "max_length": engine.max_length,
        "metric": scored.metric,
        "label_names": list(scored.label_names),
        "positive": scored.positive,
        "n": len(scored.texts),
        "timed": TIMED,
        "batch_size": batch_size,
        "seed": seed,
        "machine": cpu_identity(),
        "threads": torch.get_num_threads(),
    }
    layers = engine.model.config.num_hidden_layers
    search(layers, evaluation(engine, scored, batch_size), Path(output), settings, iterations, seconds, seed)
    show(Path(output))
    return Path(output)


def evaluation(engine: TorchEngine, scored: ScoredExamples, batch_size: int = 1) -> Evaluate:
    """Times configurations in turns with the full network, on some of the examples, and scores each on all of them."""
    by_length = np.argsort(engine.lengths(scored.texts, scored.pairs), kind="stable")
    timed = scored.select(by_length[np.linspace(0, len(by_length) - 1, TIMED).astype(int)])

    def answer(lengths: Lengths, examples: ScoredExamples, *size: int) -> np.ndarray:
        engine.model.config.length_configuration = list(lengths)
        return examples.outputs(engine, *size)

    def evaluate(configurations: Sequence[Lengths]) -> list[tuple[float, float]]:
        full = (1.0,) * len(configurations[0])
        runs = {lengths: lambda own=lengths: answer(own, timed, batch_size) for lengths in (full, *configurations)}
        times = time_interleaved(runs, REPEATS).seconds
        return [
            (float(np.median(times[lengths] / times[full])), scored.score(answer(lengths, scored)))
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
) -> None:
    """The search itself, with its record in `output`; what `settings` say must be the same to go on with one.

    Raises:
        UserError: the output holds another search.
    """
    record, started = output / RECORD, perf_counter()
    recorded = _recorded(record, settings)
    measured: dict[Lengths, tuple[float, float]] = {}
    with Progress("search", iterations, timed=True, limit_s=seconds) as progress:
        for done, wanted in enumerate(generations(layers, seed, measured), start=1):
            measured |= {lengths: recorded[lengths] for lengths in wanted if lengths in recorded}
            if missing := [lengths for lengths in wanted if lengths not in measured]:
                measured |= zip(missing, evaluate(missing), strict=True)
                _write(record, settings, {**recorded, **measured})
            spent = (perf_counter() - started) / seconds if seconds else 0.0
            progress.advance()
            if max(done / iterations, spent) >= 1:
                break


def show(output: Path) -> None:
    """Print the front of a finished search, and draw it beside its record."""
    record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    Console().print(front_table(record))
    save(length_figure(record), (output / RECORD).with_suffix(""))


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
        if name not in ABOUT and theirs.get(name) != value:
            raise UserError(
                f"{record} holds a search whose {name} was {theirs.get(name)!r}; now it is {value!r}. Remove it, or "
                "give another output."
            )
    return found


def _write(record: Path, settings: dict[str, Any], measured: dict[Lengths, tuple[float, float]]) -> None:
    """Of the evaluations the first is the full network, and the second the smallest that LengthDrop can draw."""
    rows = [{"lengths": list(each), "time_share": time, "score": own} for each, (time, own) in measured.items()]
    times, scores = np.array(list(measured.values())).T
    front = [rows[i] for i in pareto_front(times, scores)]
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"settings": settings, "front": front, "evaluations": rows})

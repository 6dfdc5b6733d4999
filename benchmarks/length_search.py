"""How measured time falls with the length configuration, and the search of configurations against random ones.

    python benchmarks/length_search.py --model runs/squad/dynamic --task squad --source data/squad --max-length 256

Any BERT classifier or span model will do: one that is no Dynamic-TinyBERT yet is run as one. About six minutes. For
each seed, search and random draws get the same seconds of measuring and take turns, one round of configurations at a
time, so that a change of the machine's load meets both. Random draws are LengthDrop's, the full network first, with a
largest share to drop that is itself drawn. Both are scored by the hypervolume of their fronts within the full network's
time and above 80 % of its score, as a share of that rectangle.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.latency.load import LoadWatch
from tangodistill.latency.machine import describe_machine
from tangodistill.models import DynamicTinyBertForSequenceClassification
from tangodistill.models.dynamic_tinybert import DynamicBert, DynamicTinyBertForQuestionAnswering
from tangodistill.models.length_configuration import Lengths, sample
from tangodistill.tuning.length_evolution import BROOD, generations
from tangodistill.tuning.pareto import hypervolume, pareto_front
from tangodistill.tuning.scored_examples import ScoredExamples
from tangodistill.tuning.search import Evaluate, evaluation

KEPT = 0.8  # share of the full network's score, below which nothing counts
STEPS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1)

Points = dict[Lengths, tuple[float, float]]


def dynamic_engine(folder: str, max_length: int) -> TorchEngine:
    engine = TorchEngine.load(folder, max_length=max_length)
    if not isinstance(engine.model, DynamicBert):
        spans = engine.facts.kind == "spans"
        kind = DynamicTinyBertForQuestionAnswering if spans else DynamicTinyBertForSequenceClassification
        engine.model = kind.from_bert(engine.model)
    return engine


def drawn(layers: int, seed: int) -> Iterator[list[Lengths]]:
    """The full network and random configurations of every size."""
    rng = np.random.default_rng(seed)
    first = [(1.0,) * layers]
    while True:
        yield first + [sample(layers, rng, drop=rng.uniform(0, 0.6)) for _ in range(BROOD - len(first))]
        first = []


def race(layers: int, evaluate: Evaluate, seconds: float, seed: int) -> dict[str, Points]:
    """What each method measured in its own `seconds`; whichever has used less goes next."""
    found: dict[str, Points] = {"search": {}, "random": {}}
    methods = {"search": generations(layers, seed, found["search"]), "random": drawn(layers, seed)}
    spent = dict.fromkeys(methods, 0.0)
    while min(spent.values()) < seconds:
        name = min(spent, key=spent.__getitem__)
        started = perf_counter()
        part = next(methods[name])
        found[name] |= zip(part, evaluate(part), strict=True)
        spent[name] += perf_counter() - started
    return found


def area(points: Points) -> float:
    times, scores = np.array(list(points.values())).T
    full = scores[0]
    return hypervolume(times, scores, slowest=1.0, worst=KEPT * full) / ((1 - KEPT) * full)


def shrinking(layers: int, evaluate: Evaluate) -> list[dict[str, Any]]:
    """Time and score with one and the same share of the tokens in all layers."""
    steps = [(share,) * layers for share in STEPS]
    rows = [
        {"lengths": lengths, "time_share": time, "score": own}
        for lengths, (time, own) in zip(steps, evaluate(steps), strict=True)
    ]
    print("tokens kept in all layers: time beside the full network's, score")
    for row in rows:
        print(f"  {row['lengths'][0]:4.0%}: {row['time_share']:.2f}, {row['score']:.4f}", flush=True)
    return rows


def raced(layers: int, evaluate: Evaluate, seconds: float, seed: int) -> dict[str, Any]:
    """One seed's race: of each method the configurations, the hypervolume and the front."""
    row: dict[str, Any] = {"seed": seed}
    for name, points in race(layers, evaluate, seconds, seed).items():
        times, scores = np.array(list(points.values())).T
        front = [[list(points)[i], *points[list(points)[i]]] for i in pareto_front(times, scores)]
        row[name] = {"configurations": len(points), "hypervolume": area(points), "front": front}
    shown = (f"{name} {row[name]['hypervolume']:.4f} ({row[name]['configurations']})" for name in ("search", "random"))
    print(f"  seed {seed}: {', '.join(shown)}", flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a BERT tier or a Dynamic-TinyBERT")
    parser.add_argument("--source", required=True, help="labelled data: folder, file or package")
    parser.add_argument("--task", default="custom", help="of the data, such as sst2 or squad")
    parser.add_argument("--max-length", type=int, help="tokens of a text or a window; by default the task's")
    parser.add_argument("--examples", type=int, default=100, help="of the selection role, that are scored at most")
    parser.add_argument("--seconds", type=float, default=50, help="for each method and seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", default="length_search_benchmark.json")
    arguments = parser.parse_args()

    roles = load_roles(DatasetConfig(arguments.source, task=arguments.task, max_length=arguments.max_length))
    engine = dynamic_engine(arguments.model, roles.task.max_length)
    layers = engine.model.config.num_hidden_layers
    scored = ScoredExamples.of_role(roles, "selection").part(arguments.examples)
    evaluate = evaluation(engine, scored)
    evaluate([(1.0,) * layers])  # warms up
    machine = describe_machine()
    print(
        f"{arguments.task}, {scored.metric_title}, n = {len(scored.texts)}, {engine.max_length} tokens, "
        f"{machine['cpu']}"
    )
    with LoadWatch() as watch:
        shrunk = shrinking(layers, evaluate)
        print(f"hypervolume (configurations) in {arguments.seconds:.0f} s each:")
        races = [raced(layers, evaluate, arguments.seconds, seed) for seed in range(arguments.seeds)]
    means = {name: float(np.mean([row[name]["hypervolume"] for row in races])) for name in ("search", "random")}
    print(f"  mean: search {means['search']:.4f}, random {means['random']:.4f}")
    if watch.load.busy:
        print("other work took part of the machine: times are not to be trusted")
    content = {
        **vars(arguments), "metric": scored.metric, "n": len(scored.texts), "threads": torch.get_num_threads(),
        "machine": machine, "load": watch.load.record(), "shrinking": shrunk, "races": races, "mean_hypervolume": means,
    }  # fmt: skip
    Path(arguments.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"Result: {arguments.output}")


if __name__ == "__main__":
    main()

"""The search of length configurations against random ones in equal time, and how measured time falls with length.

    python benchmarks/length_search.py --model runs/cola/student --task cola --source data/glue/CoLA --seconds 300

Any BERT classifier will do: one that is no Dynamic-TinyBERT yet is run as one. Search and random draws take turns, one
chunk of configurations at a time, so that a change of the machine's load meets both; both are scored by the
hypervolume of their fronts, which counts time from 0 to the full network's and scores above that of always answering
the most frequent label.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from time import perf_counter

import numpy as np

from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.length_evolution import generations
from tangodistill.length_search import AT_A_TIME, Evaluate, engine_evaluation
from tangodistill.metrics import score
from tangodistill.models import DynamicTinyBertForSequenceClassification
from tangodistill.models.length_configuration import Lengths, sample
from tangodistill.pareto import hypervolume, pareto_front
from tangodistill.runtime.torch_engine import TorchEngine

Points = dict[Lengths, tuple[float, float]]


def searched(layers: int, seed: int, measured: Points) -> Iterator[list[Lengths]]:
    for wanted in generations(layers, seed, measured):
        yield from (wanted[start : start + AT_A_TIME] for start in range(0, len(wanted), AT_A_TIME))


def drawn(layers: int, seed: int) -> Iterator[list[Lengths]]:
    """The full network, then random configurations of every size."""
    rng = np.random.default_rng(seed)
    yield [(1.0,) * layers]
    while True:
        yield [sample(layers, rng, drop=rng.uniform(0, 0.6)) for _ in range(AT_A_TIME)]


def race(layers: int, evaluate: Evaluate, seconds: float, seed: int) -> dict[str, Points]:
    """What each method measured in its own `seconds`; whichever has used less goes next."""
    found: dict[str, Points] = {"search": {}, "random": {}}
    methods = {"search": searched(layers, seed, found["search"]), "random": drawn(layers, seed)}
    spent = dict.fromkeys(methods, 0.0)
    while min(spent.values()) < seconds:
        name = min(spent, key=spent.__getitem__)
        started = perf_counter()
        part = next(methods[name])
        found[name] |= zip(part, evaluate(part), strict=True)
        spent[name] += perf_counter() - started
    return found


def show_shrinking(layers: int, evaluate: Evaluate) -> None:
    print("share of the tokens in all layers: time, score")
    steps = [(share,) * layers for share in (1.0, 0.8, 0.6, 0.4, 0.2, 0.1)]
    for lengths, (time, own) in zip(steps, evaluate(steps), strict=True):
        print(f"  {lengths[0]:.1f}: {time:.2f} of the full network's, {own:.4f}")


def show_race(found: dict[str, Points], chance: float) -> None:
    for name, points in found.items():
        times, scores = np.array(list(points.values())).T
        front = pareto_front(times, scores)
        area = hypervolume(times, scores, slowest=1.0, worst=chance) / (1 - chance)
        print(f"{name}: {len(points)} configurations, hypervolume {area:.4f}, {len(front)} on the front")
        for i in front:
            print(f"  {times[i]:.2f} of the time, {scores[i]:.4f}, {list(list(points)[i])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a BERT classifier or a Dynamic-TinyBERT")
    parser.add_argument("--source", required=True, help="labelled data: folder, file or package")
    parser.add_argument("--task", default="custom", help="of the data, such as sst2")
    parser.add_argument("--seconds", type=float, default=300, help="for each of both methods")
    parser.add_argument("--batch-size", type=int, default=1, help="while timing")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    roles = load_roles(DatasetConfig(arguments.source, task=arguments.task))
    names, metric = roles.task.label_names, roles.task.metric
    engine = TorchEngine.load(arguments.model, roles.task.max_length)
    if not isinstance(engine.model, DynamicTinyBertForSequenceClassification):
        engine.model = DynamicTinyBertForSequenceClassification.from_bert(engine.model)
    layers = engine.model.config.num_hidden_layers
    evaluate = engine_evaluation(engine, roles.selection, names, metric, arguments.batch_size)
    evaluate([(1.0,) * layers])  # warms up
    show_shrinking(layers, evaluate)
    labels = np.asarray(roles.selection["label"])
    commonest = np.full(len(labels), np.bincount(labels).argmax())
    show_race(race(layers, evaluate, arguments.seconds, arguments.seed), score(metric, labels, commonest, len(names)))


if __name__ == "__main__":
    main()

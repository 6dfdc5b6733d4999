"""The search: what it proposes, that it beats chance, and that a killed one goes on to the same end."""

import doctest
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from separable import write_encoder, write_questions, write_table
from transformers import AutoConfig, AutoModelForSequenceClassification, BertForQuestionAnswering

from tangodistill.cli import main as cli
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.metrics import squad
from tangodistill.models.dynamic_tinybert import (
    DynamicTinyBertForQuestionAnswering,
    DynamicTinyBertForSequenceClassification,
)
from tangodistill.models.length_configuration import checked, sample, smallest
from tangodistill.recipe.config import write_yaml
from tangodistill.tuning import length_evolution as evolution
from tangodistill.tuning.length_evolution import generations, parents
from tangodistill.tuning.pareto import hypervolume, pareto_front
from tangodistill.tuning.scored_examples import ScoredExamples
from tangodistill.tuning.search import RECORD, evaluation, search, search_lengths
from tangodistill.user_error import UserError

LAYERS, SETTINGS = 4, {"seed": 0}
NEEDS = np.array([0.9, 0.5, 0.35, 0.1])  # what each layer can do with


def landscape(lengths):
    """A made-up model: time is the tokens it runs, and the score falls where a layer has less than it needs."""
    return float(np.mean(lengths)), float(1 - np.maximum(NEEDS - lengths, 0).sum())


class Landscape:
    def __init__(self, kill_after=None):
        self.asked, self.kill_after = [], kill_after

    def __call__(self, configurations):
        if self.kill_after is not None and len(self.asked) >= self.kill_after:
            raise KeyboardInterrupt
        self.asked += configurations
        return [landscape(lengths) for lengths in configurations]


def area(points):
    times, scores = np.array(list(points)).T
    return hypervolume(times, scores, slowest=1.0, worst=0.0)


def record(folder):
    return json.loads((folder / RECORD).read_text())


def test_every_candidate_is_a_configuration_and_asked_for_once(tmp_path):
    evaluate = Landscape()
    search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=30)
    assert len(evaluate.asked) == len(set(evaluate.asked)) > 200
    assert all(checked(lengths, LAYERS) == lengths for lengths in evaluate.asked)
    assert evaluate.asked[0] == (1.0,) * LAYERS


def test_the_record_holds_all_that_was_measured_and_its_front(tmp_path):
    evaluate = Landscape()
    search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=5)
    rows = record(tmp_path)["evaluations"]
    assert [tuple(row["lengths"]) for row in rows] == evaluate.asked
    assert all((row["time_share"], row["score"]) == landscape(row["lengths"]) for row in rows)
    times, scores = (np.array([row[name] for row in rows]) for name in ("time_share", "score"))
    assert record(tmp_path)["front"] == [rows[i] for i in pareto_front(times, scores)]


def test_it_beats_as_many_random_configurations(tmp_path):
    evaluate, rng = Landscape(), np.random.default_rng(1)
    search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=30)
    chance = [landscape(sample(LAYERS, rng, 0.5)) for _ in evaluate.asked]
    best = area([(NEEDS.mean(), 1.0)])
    assert area(map(landscape, evaluate.asked)) > max(area(chance), 0.95 * best)


@pytest.mark.parametrize("kill_after", [0, 15, 100])
def test_a_killed_search_ends_as_an_undisturbed_one(tmp_path, kill_after):
    search(LAYERS, Landscape(), tmp_path / "whole", SETTINGS, iterations=15)
    with pytest.raises(KeyboardInterrupt):
        search(LAYERS, Landscape(kill_after), tmp_path / "cut", SETTINGS, iterations=15)
    rest = Landscape()
    search(LAYERS, rest, tmp_path / "cut", SETTINGS, iterations=15)
    assert (tmp_path / "whole" / RECORD).read_bytes() == (tmp_path / "cut" / RECORD).read_bytes()
    assert len(rest.asked) <= len(record(tmp_path / "whole")["evaluations"]) - kill_after


def test_a_finished_search_measures_nothing_anew_and_can_be_prolonged(tmp_path):
    for iterations in (1, 1, 3):
        evaluate = Landscape()
        search(LAYERS, evaluate, tmp_path / "longer", SETTINGS, iterations)
        assert (len(evaluate.asked) == 0) == (iterations == 1 and (tmp_path / "seen").exists())
        (tmp_path / "seen").touch()
    search(LAYERS, Landscape(), tmp_path / "whole", SETTINGS, iterations=3)
    assert record(tmp_path / "longer") == record(tmp_path / "whole")


def test_it_stops_when_its_time_is_up_but_not_before_a_first_round(tmp_path):
    evaluate = Landscape()
    search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=1000, seconds=1e-9)
    assert len(evaluate.asked) == 10 and evaluate.asked[1] == smallest(LAYERS)


def test_another_search_in_the_same_place_is_refused(tmp_path):
    search(LAYERS, Landscape(), tmp_path, SETTINGS, iterations=1)
    with pytest.raises(UserError, match="holds a search whose seed was 0; now it is 1"):
        search(LAYERS, Landscape(), tmp_path, {"seed": 1}, iterations=1)
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        search(LAYERS, Landscape(), tmp_path, SETTINGS, iterations=1)


def test_a_search_goes_on_where_its_model_was_moved(tmp_path):
    for model in ("here", "there"):
        search(LAYERS, Landscape(), tmp_path, {**SETTINGS, "model": model}, iterations=1)
    search(LAYERS, Landscape(), tmp_path, {**SETTINGS, "model": "there"}, iterations=2)
    assert record(tmp_path)["settings"]["model"] == "there" and len(record(tmp_path)["evaluations"]) == 20


def test_parents_are_the_front_before_others():
    starts = generations(LAYERS, 0, {})
    found = {lengths: landscape(lengths) for lengths in [*next(starts), *next(starts)]}
    times, scores = np.array(list(found.values())).T
    front = {list(found)[i] for i in pareto_front(times, scores)}
    chosen = parents(list(found), found)
    assert len(chosen) == len(set(chosen)) == 20 and front <= set(chosen[: len(front)])


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder of a classifier with random weights, and labelled data for it."""
    folder = tmp_path_factory.mktemp("labels")
    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    model = AutoModelForSequenceClassification.from_pretrained(write_encoder(folder / "bert"), **names)
    model.save_pretrained(folder / "bert")
    return folder / "bert", DatasetConfig(str(write_table(folder / "data.csv", rows=200)))


@pytest.fixture(scope="module")
def dynamic(bert):
    folder, dataset = bert
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    target = shutil.copytree(folder, folder.with_name("dynamic"))
    DynamicTinyBertForSequenceClassification.from_bert(model).save_pretrained(target)
    return target, dataset


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """A folder of a span model with random weights, and questions for it."""
    folder = tmp_path_factory.mktemp("spans")
    write_questions(folder / "data")
    tokenizer = write_encoder(folder / "dynamic", positions=128)
    config = AutoConfig.from_pretrained(tokenizer)
    torch.manual_seed(0)
    DynamicTinyBertForQuestionAnswering.from_bert(BertForQuestionAnswering(config)).save_pretrained(folder / "dynamic")
    return folder / "dynamic", DatasetConfig(str(folder / "data"), task="squad")


def test_a_model_that_keeps_all_tokens_is_refused(bert, tmp_path):
    folder, dataset = bert
    with pytest.raises(UserError, match="is a bert model, which keeps all tokens"):
        search_lengths(str(folder), dataset, str(tmp_path))
    with pytest.raises(UserError, match="seconds 0; a search needs more than 0 of each"):
        search_lengths(str(folder), dataset, str(tmp_path), seconds=0)


@pytest.mark.parametrize("kind", ["dynamic", "questions"])
def test_the_verb_measures_shows_and_goes_on(kind, request, tmp_path, capsys):
    model, dataset = request.getfixturevalue(kind)
    write_yaml(tmp_path / "lengths.yaml", {"model": str(model), "dataset": {"source": dataset.source,
               "task": dataset.task}, "output": str(tmp_path / "out"), "examples": 12, "iterations": 1})  # fmt: skip
    arguments = ["search", "--config", str(tmp_path / "lengths.yaml")]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "full network" in shown and f"Result: {tmp_path / 'out'}" in shown and "export --lengths" in shown
    first = record(tmp_path / "out")
    assert len(first["evaluations"]) == 10 and first["evaluations"][0]["lengths"] == [1.0, 1.0]
    assert all(row["time_share"] > 0 and 0 <= row["score"] <= 1 for row in first["evaluations"])
    assert first["settings"]["n"] == 12 and first["settings"]["metric"] == ("accuracy", "f1")[kind == "questions"]
    for ending in (".png", ".svg"):
        assert (tmp_path / "out" / RECORD).with_suffix(ending).stat().st_size > 10_000
    assert cli.main([*arguments, "--iterations=2"]) == 0
    assert record(tmp_path / "out")["evaluations"][:10] == first["evaluations"]
    assert len(record(tmp_path / "out")["evaluations"]) == 20


@pytest.mark.parametrize("metric", ["em", "f1"])
def test_spans_are_scored_as_squad_scores_them(questions, metric):
    folder, dataset = questions
    roles = load_roles(replace(dataset, metric=metric))
    engine = TorchEngine.load(folder)
    lengths, rows = (0.6, 0.3), roles.selection
    ((_, found),) = evaluation(engine, ScoredExamples.of_role(roles, "selection"))([lengths])
    engine.model.config.length_configuration = list(lengths)
    places = engine.outputs(rows["text"][:], rows["text_pair"][:])[:, :2].astype(int)
    answers = [context[start:end] for context, (start, end) in zip(rows["text_pair"], places, strict=True)]
    gold = dict(zip(rows["example_id"][:], rows["answers"][:], strict=True))
    assert found == pytest.approx(squad(dict(zip(gold, answers, strict=True)), gold)[metric]) and found > 0


def test_doctests():
    assert doctest.testmod(evolution).failed == 0

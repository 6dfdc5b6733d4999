"""The search: what it proposes, that it beats chance, and that a killed one goes on to the same end."""

import doctest
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from tangodistill import length_evolution
from tangodistill.data.sources import DatasetConfig
from tangodistill.length_evolution import generations, parents
from tangodistill.length_search import RECORD, search, search_lengths
from tangodistill.models import DynamicTinyBertForSequenceClassification
from tangodistill.models.length_configuration import checked, sample
from tangodistill.pareto import hypervolume, pareto_front
from tangodistill.user_error import UserError

sys.path.append(str(Path(__file__).parent / "modules"))

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
    search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=5)
    assert len(evaluate.asked) == len(set(evaluate.asked)) > 200
    assert all(checked(lengths, LAYERS) == lengths for lengths in evaluate.asked)
    assert evaluate.asked[0] == (1.0,) * LAYERS


def test_the_record_holds_all_that_was_measured_and_its_front(tmp_path):
    evaluate = Landscape()
    search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=2)
    rows = record(tmp_path)["evaluations"]
    assert [tuple(row["lengths"]) for row in rows] == evaluate.asked
    assert all((row["time_share"], row["score"]) == landscape(row["lengths"]) for row in rows)
    times, scores = (np.array([row[name] for row in rows]) for name in ("time_share", "score"))
    assert record(tmp_path)["front"] == [rows[i] for i in pareto_front(times, scores)]


def test_it_beats_as_many_random_configurations(tmp_path):
    evaluate, rng = Landscape(), np.random.default_rng(1)
    search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=10)
    chance = [landscape(sample(LAYERS, rng, 0.5)) for _ in evaluate.asked]
    best = area([(NEEDS.mean(), 1.0)])
    assert area(map(landscape, evaluate.asked)) > max(area(chance), 0.95 * best)


@pytest.mark.parametrize("kill_after", [0, 15, 100])
def test_a_killed_search_ends_as_an_undisturbed_one(tmp_path, kill_after):
    search(LAYERS, Landscape(), tmp_path / "whole", SETTINGS, iterations=4)
    with pytest.raises(KeyboardInterrupt):
        search(LAYERS, Landscape(kill_after), tmp_path / "cut", SETTINGS, iterations=4)
    rest = Landscape()
    search(LAYERS, rest, tmp_path / "cut", SETTINGS, iterations=4)
    whole, cut = record(tmp_path / "whole"), record(tmp_path / "cut")
    assert whole == cut and len(rest.asked) <= len(whole["evaluations"]) - kill_after


def test_a_finished_search_measures_nothing_anew_and_can_be_prolonged(tmp_path):
    for iterations in (1, 1, 3):
        evaluate = Landscape()
        search(LAYERS, evaluate, tmp_path / "longer", SETTINGS, iterations)
        assert (len(evaluate.asked) == 0) == (iterations == 1 and (tmp_path / "seen").exists())
        (tmp_path / "seen").touch()
    search(LAYERS, Landscape(), tmp_path / "whole", SETTINGS, iterations=3)
    assert record(tmp_path / "longer") == record(tmp_path / "whole")


def test_it_stops_when_its_time_is_up(tmp_path):
    evaluate = Landscape()
    assert search(LAYERS, evaluate, tmp_path, SETTINGS, iterations=1000, seconds=0.0) == tmp_path / RECORD
    assert not evaluate.asked


def test_another_search_in_the_same_place_is_refused(tmp_path):
    search(LAYERS, Landscape(), tmp_path, SETTINGS, iterations=0)
    with pytest.raises(UserError, match="holds a search whose seed was 0; now it is 1"):
        search(LAYERS, Landscape(), tmp_path, {"seed": 1}, iterations=0)
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        search(LAYERS, Landscape(), tmp_path, SETTINGS, iterations=0)


def test_parents_are_the_front_before_others():
    found = {lengths: landscape(lengths) for lengths in next(generations(LAYERS, 0, {}))}
    times, scores = np.array(list(found.values())).T
    front = {list(found)[i] for i in pareto_front(times, scores)}
    chosen = parents(list(found), found)
    assert len(chosen) == len(set(chosen)) == 20 and front <= set(chosen[: len(front)])


def test_a_real_model_is_timed_and_scored(tmp_path):
    from separable import write_encoder, write_table

    dataset = DatasetConfig(str(write_table(tmp_path / "data.csv", rows=200)))
    encoder = write_encoder(tmp_path / "encoder")
    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    bert = AutoModelForSequenceClassification.from_pretrained(encoder, **names)
    with pytest.raises(UserError, match="is a bert model, which keeps all tokens"):
        bert.save_pretrained(encoder)
        search_lengths(str(encoder), dataset, str(tmp_path / "out"))
    DynamicTinyBertForSequenceClassification.from_bert(bert).save_pretrained(encoder)
    search_lengths(str(encoder), dataset, str(tmp_path / "out"), iterations=0)
    rows = record(tmp_path / "out")["evaluations"]
    assert len(rows) == 20 and rows[0]["lengths"] == [1.0, 1.0]
    assert all(row["time_share"] > 0 and 0 <= row["score"] <= 1 for row in rows)


def test_doctests():
    assert doctest.testmod(length_evolution).failed == 0

import doctest

import pytest

from tangodistill.recipe import config
from tangodistill.recipe.config import did_you_mean, flatten, get_key, parse_yaml, read_yaml, set_key, write_yaml
from tangodistill.user_error import UserError

STAGE = {"model": {"class_path": "Student", "init_args": {"lr": 0.1}}, "trainer": {"max_epochs": 3}}


def test_doctests():
    assert doctest.testmod(config).failed == 0


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.0e-5", ".1e-4"])
def test_numbers_with_an_exponent_are_numbers(text):
    assert parse_yaml(text) == 1e-5


@pytest.mark.parametrize("text", ["e5", "1e", "bert-base", "2026-11-24x", "1.2.3"])
def test_words_stay_words(text):
    assert parse_yaml(text) == text


def test_short_keys_reach_into_init_args():
    assert get_key(STAGE, "model.lr") == get_key(STAGE, "model.init_args.lr") == 0.1
    assert get_key(STAGE, "model.class_path") == "Student"
    assert get_key(STAGE, "model.nothing.below") is None


def test_set_key_makes_the_mappings_on_the_way():
    stage = {"data": {"class_path": "Text", "init_args": {"dataset": None}}}
    set_key(stage, "data.dataset.source", "a.csv")
    set_key(stage, "trainer.logger", False)
    assert stage["data"]["init_args"] == {"dataset": {"source": "a.csv"}}
    assert stage["trainer"] == {"logger": False}


def test_what_is_written_is_read_back(tmp_path):
    write_yaml(tmp_path / "stage.yaml", {**STAGE, "label": "größer"})
    assert read_yaml(tmp_path / "stage.yaml") == {**STAGE, "label": "größer"}


def test_flatten_keeps_lists_and_empty_mappings_whole():
    assert flatten({"a": {"b": [1, {"c": 2}]}, "d": {}}) == {"a.b": [1, {"c": 2}], "d": {}}


@pytest.mark.parametrize("content, message", [("a: [1", "not valid YAML"), ("- 1", "found list"), (None, "No such")])
def test_a_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / "stage.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        read_yaml(path)
    assert str(path) in str(error.value)


def test_no_suggestion_where_nothing_is_near():
    assert did_you_mean("zebra", ["lr", "max_epochs"]) == ""

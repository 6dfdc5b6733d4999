import json

import pytest

from tangodistill.recipe.config import get_key
from tangodistill.recipe.overrides import Overrides, is_trained
from tangodistill.recipe.reading import read_recipe
from tangodistill.user_error import UserError


def applied(name="sst2", **changes):
    recipe = read_recipe(name)
    Overrides(**changes).apply(recipe)
    return recipe


def write_config(folder, architecture):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": [architecture]}))
    return str(folder)


def test_data_reaches_every_stage_and_drops_the_recipes_own_test_set():
    recipe = applied(data="reviews.csv")
    found = [get_key(stage.config, stage.dataset) for stage in recipe.stages if stage.dataset]
    assert len(found) == 9
    assert all(dataset["source"] == "reviews.csv" and "test" not in dataset for dataset in found)
    assert all(dataset["task"] == "sst2" for dataset in found)


def test_keys_of_the_data_reach_every_stage():
    recipe = applied(data="reviews.csv", settings=["data.text_columns=[title, body]", "data.test=held_out.csv"])
    for stage in recipe.stages:
        if stage.dataset:
            dataset = get_key(stage.config, stage.dataset)
            assert dataset["text_columns"] == ["title", "body"] and dataset["test"] == "held_out.csv"


def test_single_keys_in_short_and_in_full():
    recipe = applied(settings=["student.model.lr=1e-4", "teacher.model.init_args.lr=3", "student.trainer.max_epochs=1"])
    assert recipe.stage("student").config["model"]["init_args"]["lr"] == 1e-4
    assert recipe.stage("student").config["trainer"]["max_epochs"] == 1
    assert recipe.stage("teacher").config["model"]["init_args"]["lr"] == 3


@pytest.mark.parametrize("setting", ["student", "student=3", "student.lr", "=3"])
def test_a_malformed_setting_shows_the_form(setting):
    with pytest.raises(UserError, match="STAGE.KEY=VALUE"):
        applied(settings=[setting])


def test_a_value_that_is_no_yaml_is_told():
    with pytest.raises(UserError) as error:
        applied(settings=["data.label_names=[good, bad"])
    assert str(error.value).startswith("--set data.label_names=[good, bad: '[good, bad' is not valid YAML (expected")


def test_a_misspelt_stage_gets_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'student'"):
        applied(settings=["studnet.model.lr=1"])


def test_a_classifier_is_evaluated_and_an_encoder_is_trained(tmp_path):
    classifier = write_config(tmp_path / "classifier", "BertForSequenceClassification")
    encoder = write_config(tmp_path / "encoder", "BertModel")
    evaluated, trained = applied(teacher=classifier).stage("teacher"), applied(teacher=encoder).stage("teacher")
    assert (evaluated.verb, trained.verb) == ("validate", "fit")
    assert get_key(evaluated.config, "model.save_validated") is True
    assert get_key(trained.config, evaluated.teacher) == encoder


def test_a_teacher_is_the_second_tier(tmp_path):
    """Where another model labels, that stays; the small variant has one for both."""
    given = write_config(tmp_path / "encoder", "BertModel")
    recipe = applied("mrpc_bert", teacher=given)
    assert get_key(recipe.stage("second_tier").config, "model.pretrained") == given
    assert get_key(recipe.stage("teacher").config, "model.pretrained") == "roberta-base"
    small = applied("mrpc_bert/small", teacher=given)
    assert get_key(small.stage("teacher").config, "model.pretrained") == given
    assert small.stage("cascade").inputs["model.init_args.tiers"] == ["student", "teacher"]


def test_the_command_line_wins_over_a_variant():
    small = applied("sst2/small", settings=["deebert.trainer.max_epochs=7"])
    assert get_key(small.stage("deebert").config, "trainer.max_epochs") == 7
    assert get_key(small.stage("teacher").config, "model.pretrained") == "package:minilm-l6"


def test_a_teacher_that_cannot_be_read_says_what_serves(tmp_path):
    with pytest.raises(UserError, match="folder with config.json and model.safetensors"):
        is_trained(str(tmp_path))


def test_the_protocol_reaches_the_cascade_only_when_asked():
    assert get_key(applied().stage("cascade").config, "model.protocol") == "natural"
    assert get_key(applied(protocol="paper").stage("cascade").config, "model.protocol") == "paper"

"""`null` clears a key wherever it lies: by a flag, in a file, in a recipe."""

import pytest

from tangodistill.cli import verbs
from tangodistill.cli.trainer import TrainerCLI
from tangodistill.recipe.config import get_key, write_yaml
from tangodistill.recipe.overrides import Overrides
from tangodistill.recipe.reading import read_recipe

LOGGER = {"class_path": "tangodistill.report.tracking.RunLogger", "init_args": {"name": "n"}}
STAGE = {
    "trainer": {"logger": LOGGER, "gradient_clip_val": 1.0},
    "model": {"class_path": "TeacherModule", "init_args": {"pretrained": "x"}},
    "data": {"class_path": "TextData", "init_args": {"dataset": {"source": "d.csv", "test": "hub/set"}}},
}


@pytest.mark.parametrize("null", ["null", "~", "Null"])
@pytest.mark.parametrize(
    "flag", ["data.dataset.test", "data.init_args.dataset.test", "trainer.logger.name", "trainer.gradient_clip_val"]
)
def test_a_flag_of_null_clears_what_the_file_says(tmp_path, flag, null):
    write_yaml(tmp_path / "stage.yaml", STAGE)
    for arguments in ([f"--{flag}={null}"], [f"--{flag}", null]):
        parsed = TrainerCLI("fit", ["--config", str(tmp_path / "stage.yaml"), *arguments], "p", "d", parse_only=True)
        assert get_key(STAGE, flag) is not None
        assert get_key(parsed.config.as_dict()["fit"], flag) is None


def test_flags_below_a_class_keep_their_other_values(tmp_path):
    write_yaml(tmp_path / "stage.yaml", STAGE)
    flags = ['--data.dataset.label_names=["no", "1.0"]', "--model.lr=1e-4", "--data.dataset.test=None.csv"]
    parsed = TrainerCLI("fit", ["--config", str(tmp_path / "stage.yaml"), *flags], "p", "d", parse_only=True)
    found = parsed.config.as_dict()["fit"]
    assert get_key(found, "data.dataset.label_names") == ["no", "1.0"]
    assert get_key(found, "data.dataset.test") == "None.csv" and get_key(found, "model.lr") == 1e-4


@pytest.mark.parametrize("flag", ["dataset.test", "rules.share", "rules", "max_texts"])
def test_verbs_without_a_trainer_too(tmp_path, flag):
    dataset = {"source": "d.csv", "test": "hub/set"}
    config = {"dataset": dataset, "output": "out", "rules": {"share": 0.5}, "max_texts": 3}
    write_yaml(tmp_path / "stage.yaml", config)
    _, parser = verbs._function_parser("augment")
    found = verbs.parse(parser, ["--config", str(tmp_path / "stage.yaml"), f"--{flag}", "null"])
    assert get_key(config, flag) is not None and get_key(found.as_dict(), flag) is None


def test_a_recipe_s_key_too():
    recipe = read_recipe("sst2")
    Overrides(settings=["data.test=null", "student.trainer.gradient_clip_val=null"]).apply(recipe)
    assert get_key(recipe.stage("teacher").config, "data.dataset.test") is None
    assert get_key(recipe.stage("student").config, "trainer.gradient_clip_val") is None

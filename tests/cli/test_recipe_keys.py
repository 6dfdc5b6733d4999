import doctest

import pytest

from tangodistill.cli import main as cli
from tangodistill.cli import recipe_keys
from tangodistill.cli.recipe_keys import keys_of_recipe, short
from tangodistill.recipe.config import get_key
from tangodistill.recipe.reading import read_recipe, shipped_recipes


def test_doctests():
    assert doctest.testmod(recipe_keys).failed == 0


@pytest.fixture(scope="module")
def keys():
    return {key.name: key for key in keys_of_recipe(read_recipe("custom"))}


def test_keys_stand_with_the_recipe_s_value_else_the_default_and_a_line(keys):
    assert keys["student.model.lr"].line == "peak learning rate."
    assert keys["student.trainer.max_epochs"].value == get_key(read_recipe("custom").stage("student").config,
                                                              "trainer.max_epochs")  # fmt: skip
    assert keys["teacher.trainer.accumulate_grad_batches"].value == 1
    assert keys["teacher.trainer.logger.project"].value == "tangodistill"
    assert keys["augment.rules.p_mask"].line == "Probability that a word becomes [MASK]."
    assert keys["augment.lm"].value is None and keys["augment.lm.top_p"].value == 1.0
    assert keys["data.label_column"].value == "label"
    assert "export.formats" in keys and "tune.seconds" in keys


def test_what_run_fills_and_what_is_no_key_is_left_out(keys):
    for name in (
        "teacher.trainer.default_root_dir",
        "label.transfer_set",
        "augment.output",
        "cascade.model.tiers",
    ):
        assert name not in keys
    assert not [name for name in keys if name.endswith((".help", ".class_path", "init_args"))]
    own = [key.line for name, key in keys.items() if ".trainer." not in name and not name.endswith("temperature")]
    assert all(own)


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_key_that_a_shipped_recipe_sets_is_listed(name):
    recipe = read_recipe(name)
    listed = {key.name for key in keys_of_recipe(recipe)}
    for stage in recipe.stages:
        filled = {short(key) for key in (stage.output, *stage.inputs)}
        for key in flat(stage.config):
            if key not in filled and not key.endswith("class_path"):
                assert f"{stage.name}.{key}" in listed, f"{stage.name}.{key}"


def flat(config, prefix=""):
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value and name not in ("arguments", "lengths"):
            yield from flat(value, "" if key == "init_args" else f"{key.removesuffix('.init_args')}.")
        else:
            yield short(key)


def test_the_command_line_lists_all_or_those_of_a_stage(capfd, refused):
    assert cli.main(["recipes", "custom", "--keys", "label"]) == 0
    *lines, following = capfd.readouterr().out.splitlines()
    assert {line.split()[0].split(".")[0] for line in lines} == {"label"}
    assert following == "Next, change one: python -m tangodistill run custom --set STAGE.KEY=VALUE"
    assert cli.main(["recipes", "custom", "--keys", "data"]) == 0
    assert capfd.readouterr().out.startswith("data.source ")
    assert refused("recipes", "--keys") == "--keys are those of a recipe: python -m tangodistill recipes demo --keys"
    assert refused("recipes", "custom", "--keys", "lable").startswith(
        "Recipe custom has no stage 'lable'. Did you mean"
    )


def test_a_key_that_is_none_points_to_the_list(refused, tmp_path):
    message = refused("run", "custom", "--out", tmp_path / "out", "--set", "augment.max_txt_rows=3")
    assert message.startswith("Stage augment: Unknown key 'max_txt_rows'.")
    assert message.endswith(" Its keys: python -m tangodistill recipes custom --keys augment")

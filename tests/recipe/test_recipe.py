import pytest

from tangodistill.recipe.reading import copy_recipe, read_recipe, shipped_recipes
from tangodistill.user_error import UserError


def write_recipe(folder, stages, **files):
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(f"description: a test\nstages:\n{stages}")
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)
    return folder


def test_a_recipe_is_read_by_folder(tmp_path):
    folder = write_recipe(tmp_path / "mine", "- {name: a, verb: label, file: a.yaml, output: output}", a="output: x")
    recipe = read_recipe(str(folder))
    assert (recipe.name, recipe.description) == ("mine", "a test")
    assert recipe.stage("a").config == {"output": "x"}


def test_shipped_recipes_are_read_by_name():
    assert {"demo", "sst2", "custom"} <= shipped_recipes().keys()
    assert [stage.name for stage in read_recipe("demo").stages] == [
        *("teacher", "augment", "label", "student", "export", "tune", "cascade", "report")
    ]


def test_a_misspelt_recipe_gets_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'demo'"):
        read_recipe("deomo")


@pytest.mark.parametrize(
    "stages, message",
    [
        ("- {name: a, verb: label, file: a.yaml, outptu: output}", "unknown key 'outptu'. Did you mean 'output'"),
        ("- {name: a, verb: label}", "lacks file, output"),
        ("- {name: a, verb: label, file: a.yaml, output: output, inputs: {x: b}}", "takes x from 'b'"),
        ("- {name: a, verb: label, file: b.yaml, output: output}", "Cannot read"),
        ("", "lists no stages"),
    ],
)
def test_a_broken_recipe_is_told(tmp_path, stages, message):
    folder = write_recipe(tmp_path / "mine", stages, a="output: x")
    with pytest.raises(UserError, match=message):
        read_recipe(str(folder))


VARIANT = """
description: smaller
leave_out: {b: a, c: null}
settings:
  a: {model.lr: 1e-3, trainer.max_epochs: 2}
  data: {max_length: 64}
"""
VARIANT_STAGES = """
- {name: a, verb: fit, file: a.yaml, output: output, dataset: set}
- {name: b, verb: fit, file: b.yaml, output: output}
- {name: c, verb: fit, file: b.yaml, output: output}
- {name: d, verb: fit, file: d.yaml, output: output, dataset: set, inputs: {x: b, others: [b, c]}}
variants: [small]
"""


def write_variant(folder, text):
    stage = "{output: x, set: {source: t.csv}, model: {class_path: M, init_args: {lr: 1}}}"
    return write_recipe(folder, VARIANT_STAGES, a=stage, b="output: x", d="{output: x, set: {}}", small=text)


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_variant_changes_settings_and_leaves_stages_out(tmp_path, ending):
    folder = write_variant(tmp_path / "mine", VARIANT)
    recipe = read_recipe(f"{folder}{ending}/small")
    assert (recipe.name, recipe.description) == ("mine/small", "smaller")
    assert [stage.name for stage in recipe.stages] == ["a", "d"]
    assert recipe.stage("a").config["model"]["init_args"]["lr"] == 1e-3
    assert recipe.stage("a").config["trainer"] == {"max_epochs": 2}
    assert recipe.stage("a").config["set"] == {"source": "t.csv", "max_length": 64}
    assert recipe.stage("d").inputs == {"x": "a", "others": ["a"]}
    assert read_recipe(str(folder)).stage("a").config["model"]["init_args"]["lr"] == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("setings: {}", "unknown key 'setings'. Did you mean 'settings'"),
        ("settings: {teacher: {x: 1}}", "mine/small has no stage 'teacher'"),
        ("settings: {a: 3}", "settings of a must be `key: value` lines, found 3"),
        ("leave_out: {z: null}", "has no stage 'z'"),
        ("leave_out: {b: null}", "leaves out stage b, but stage d needs it for x"),
    ],
)
def test_a_broken_variant_is_told(tmp_path, text, message):
    folder = write_variant(tmp_path / "mine", text)
    with pytest.raises(UserError, match=message):
        read_recipe(f"{folder}/small")


def test_a_misspelt_variant_gets_the_nearest(tmp_path):
    folder = write_variant(tmp_path / "mine", VARIANT)
    with pytest.raises(UserError, match="Did you mean '.*mine/small'"):
        read_recipe(f"{folder}/smal")
    with pytest.raises(UserError, match="Did you mean 'sst2/small'"):
        read_recipe("sst2/smal")


def test_an_unknown_stage_gets_the_nearest():
    with pytest.raises(UserError, match="no stage 'techer'. Did you mean 'teacher'"):
        read_recipe("demo").stage("techer")


def test_a_copy_is_a_recipe_of_its_own_and_never_overwrites(tmp_path):
    folder = copy_recipe("demo", tmp_path / "mine")
    assert read_recipe(str(folder)).name == "mine"
    with_variant = copy_recipe("cola/small", tmp_path / "smaller")
    assert read_recipe(f"{with_variant}/small").name == "smaller/small"
    with pytest.raises(UserError, match="exists already"):
        copy_recipe("demo", tmp_path / "mine")


@pytest.mark.parametrize("name", shipped_recipes())
def test_stage_files_open_with_purpose_needs_and_command(name):
    for stage in read_recipe(name).stages:
        lines = (shipped_recipes()[name] / stage.file).read_text().splitlines()
        assert lines[0].startswith("# ") and lines[1].startswith("# Needs: ")
        command = f"python -m tangodistill {stage.verb} --config recipes/{name}/{stage.file}"
        assert any(line == f"# Run alone: {command}" for line in lines)


@pytest.mark.parametrize("name", shipped_recipes())
def test_default_paths_are_where_run_puts_them(name):
    """A stage run alone reads what the stages before it wrote, run alone or by `run`."""
    from tangodistill.recipe.config import get_key

    for stage in read_recipe(name).stages:
        assert get_key(stage.config, stage.output) == f"runs/{name}/{stage.name}"
        for key, source in stage.inputs.items():
            named = [source] if isinstance(source, str) else source
            folders = [f"runs/{name}" if each == "." else f"runs/{name}/{each}" for each in named]
            assert get_key(stage.config, key) == (folders if isinstance(source, list) else folders[0])

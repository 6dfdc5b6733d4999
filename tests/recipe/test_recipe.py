import doctest

import pytest

from tangodistill.recipe import places
from tangodistill.recipe.config import get_key
from tangodistill.recipe.reading import copy_recipe, read_recipe, shipped_recipes
from tangodistill.user_error import UserError


def write_recipe(folder, stages, **files):
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(f"description: a test\nstages:\n{stages}")
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)
    return folder


def test_a_recipe_is_read_by_folder(tmp_path):
    folder = write_recipe(tmp_path / "mine", "  a: augment", a="output: runs/mine/a")
    recipe = read_recipe(str(folder))
    assert (recipe.name, recipe.description) == ("mine", "a test")
    assert recipe.stage("a").config == {"output": "runs/mine/a"} and recipe.stage("a").inputs == {}


TRAINED = "{{trainer: {{default_root_dir: runs/old/{0}}}, data: {{init_args: {{dataset: {{source: t.csv}}}}}}}}"
LISTED = """
  teacher: fit
  augment: augment
  label: label
  student: fit
  export: export
  report: report
settings:
  label: {max_length: 64}
"""


def test_a_stage_reads_what_its_keys_name_and_needs_no_file_where_its_verb_says_enough(tmp_path):
    """Copied from `old` to `mine`: what the keys name is still the same stages'."""
    teacher, augment = TRAINED.format("teacher"), "{output: runs/old/augment, dataset: {source: t.csv}}"
    student = (
        "{trainer: {default_root_dir: runs/old/student, logger: false}, "
        "data: {class_path: D, init_args: {transfer_set: runs/old/label}}, others: [runs/old/teacher, elsewhere]}"
    )
    folder = write_recipe(tmp_path / "mine", LISTED, teacher=teacher, augment=augment, student=student)
    recipe = read_recipe(str(folder))
    label, export = recipe.stage("label"), recipe.stage("export")
    assert label.config == {
        "transfer_set": "runs/old/augment", "teacher": "runs/old/teacher", "output": "runs/old/label", "max_length": 64,
    }  # fmt: skip
    assert label.inputs == {"transfer_set": "augment", "teacher": "teacher"} and label.dataset is None
    assert export.inputs == {"tiers": ["student", "teacher"]}
    assert export.config["dataset"] == {"source": "t.csv"}
    own = recipe.stage("student")
    assert own.inputs == {"data.init_args.transfer_set": "label", "others": ["teacher"]}
    assert own.config["trainer"]["logger"] is False
    assert recipe.stage("teacher").config["trainer"]["logger"]["init_args"] == {
        "project": "tangodistill", "name": "mine-teacher", "job_type": "teacher",
    }  # fmt: skip
    assert recipe.stage("report").inputs == {"run_folder": "."}
    own.move("elsewhere/run")
    assert own.config["data"]["init_args"]["transfer_set"] == "elsewhere/run/label"
    assert own.config["others"] == ["elsewhere/run/teacher", "elsewhere"]
    assert own.inputs == {"data.init_args.transfer_set": "label", "others": ["teacher"]}


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
        ("  a: augmnt", "stage a has no verb 'augmnt'. Did you mean 'augment'"),
        ("  a: augment\nsetings: {}", "unknown key 'setings'. Did you mean 'settings'"),
        ("  b: augment", "Cannot read"),
        ("  c: fit", "takes x from 'b', which is no earlier stage .there is none."),
        ("- {name: a, verb: label}", "lists no stages: give `stages:` with a line `NAME: VERB` for each"),
        ("", "lists no stages"),
    ],
)
def test_a_broken_recipe_is_told(tmp_path, stages, message):
    fit = "{x: runs/mine/b, trainer: {default_root_dir: runs/mine/c}}"
    folder = write_recipe(tmp_path / "mine", stages, a="output: runs/mine/a", c=fit)
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
  a: fit
  b: fit
  c: fit
  d: fit
variants: [small]
"""


def write_variant(folder, text):
    data = "data: {class_path: D, init_args: {dataset: {source: t.csv}}}"
    stage = f"{{trainer: {{default_root_dir: runs/mine/a}}, {data}, model: {{class_path: M, init_args: {{lr: 1}}}}}}"
    last = "{trainer: {default_root_dir: runs/mine/d}, x: runs/mine/b, others: [runs/mine/b, runs/mine/c]}"
    between = {name: f"trainer: {{default_root_dir: runs/mine/{name}}}" for name in "bc"}
    return write_recipe(folder, VARIANT_STAGES, a=stage, **between, d=last, small=text)


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_variant_changes_settings_and_leaves_stages_out(tmp_path, ending):
    folder = write_variant(tmp_path / "mine", VARIANT)
    recipe = read_recipe(f"{folder}{ending}/small")
    assert (recipe.name, recipe.description) == ("mine/small", "smaller")
    assert [stage.name for stage in recipe.stages] == ["a", "d"]
    assert recipe.stage("a").config["model"]["init_args"]["lr"] == 1e-3
    assert recipe.stage("a").config["trainer"]["max_epochs"] == 2
    assert recipe.stage("a").config["data"]["init_args"]["dataset"] == {"source": "t.csv", "max_length": 64}
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
        if stage.file:
            lines = (shipped_recipes()[name] / stage.file).read_text().splitlines()
            assert lines[0].startswith("# ") and lines[1].startswith("# Needs: ")
            command = f"python -m tangodistill {stage.verb} --config recipes/{name}/{stage.file}"
            assert any(line == f"# Run alone: {command}" for line in lines)


@pytest.mark.parametrize("name", shipped_recipes())
def test_default_paths_are_where_run_puts_them(name):
    """A stage run alone reads what the stages before it wrote, run alone or by `run`."""
    for stage in read_recipe(name).stages:
        assert get_key(stage.config, stage.output) == f"runs/{name}/{stage.name}"


def test_recipes_stay_short():
    """What is the same in every recipe belongs to its verb."""
    files = [path for folder in shipped_recipes().values() for path in folder.glob("*.yaml")]
    assert len(files) <= 65 and sum(len(path.read_text().splitlines()) for path in files) <= 1500


def test_doctests():
    assert doctest.testmod(places).failed == 0

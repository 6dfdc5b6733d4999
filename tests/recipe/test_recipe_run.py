"""A run over tiny stages that only write what they were given."""

import os
from pathlib import Path

import pytest

from tangodistill.recipe.config import read_yaml
from tangodistill.recipe.overrides import Overrides
from tangodistill.recipe.reading import read_recipe
from tangodistill.recipe.running import RecipeRun
from tangodistill.recipe.stage import read_record
from tangodistill.user_error import UserError

STAGES = """
  teacher: fit
  label: label
  report: report
"""


class Workshop:
    """A recipe of three stages, and a record of what was executed."""

    def __init__(self, folder: Path):
        self.folder, self.out = folder, folder / "out"
        recipe = folder / "recipe"
        recipe.mkdir()
        (recipe / "recipe.yaml").write_text(f"description: a test\nstages:{STAGES}")
        (recipe / "label.yaml").write_text(
            "{teacher: runs/recipe/teacher, output: runs/recipe/label, batch_size: 8, workers: 2}"
        )
        self.table = folder / "data.csv"
        self.table.write_text("text,label\na,0\nb,1\n")
        (recipe / "teacher.yaml").write_text(
            "trainer: {default_root_dir: runs/recipe/teacher, max_epochs: 1, "
            "logger: {class_path: L, init_args: {name: n}}}"
            f"\nmodel: {{init_args: {{pretrained: bert}}}}\ndata: {{init_args: {{dataset: {{source: {self.table}}}}}}}"
        )
        self.executed: list[str] = []
        self.said: list[str] = []
        self.dies_in: str | None = None
        self.arguments: list[str] = []
        self.writes = write_result

    def run(self, *settings, first=None, last=None, force=()):
        """The stages that were executed."""
        recipe = read_recipe(str(self.folder / "recipe"))
        Overrides(settings=settings).apply(recipe)
        self.executed, self.said = [], []
        run = RecipeRun(recipe, self.out, self.execute, lambda verb, arguments: None, self.said.append)
        run.run(first, last, force)
        return self.executed

    def execute(self, verb, arguments):
        config = read_yaml(arguments[1])
        output = Path(config.get("output") or config["trainer"]["default_root_dir"])
        self.executed.append(output.name)
        self.arguments = arguments
        (output / "started").touch()
        if output.name == self.dies_in:
            raise KeyboardInterrupt
        self.writes(output, config)


def write_result(output: Path, config: dict) -> None:
    (output / "result").write_text(str(config))


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


def test_stages_run_in_order_and_then_not_again(workshop):
    assert workshop.run() == ["teacher", "label", "report"]
    assert workshop.run() == []
    assert all("skipped" in line for line in workshop.said)


def test_a_changed_key_reruns_its_stage_and_those_after_it(workshop):
    workshop.run()
    assert workshop.run("label.batch_size=16") == ["label", "report"]
    assert "batch_size 8 -> 16" in workshop.said[1]


def test_a_stage_made_anew_makes_its_readers_run(workshop):
    workshop.run()
    assert workshop.run(force=["teacher"]) == ["teacher", "label", "report"]
    assert "--force" in workshop.said[0] and "new contents of teacher" in workshop.said[2]


@pytest.mark.parametrize("setting", ["label.workers=8", "teacher.trainer.logger=false", "label.output=elsewhere"])
def test_how_a_stage_runs_is_not_what_it_makes(workshop, setting):
    workshop.run()
    assert workshop.run(setting) == []


def test_data_counts_by_its_contents(workshop):
    workshop.run()
    moved = workshop.table.rename(workshop.folder / "moved.csv")
    assert workshop.run(f"data.source={moved}") == []
    moved.write_text("text,label\nc,0\nd,1\n")
    assert workshop.run(f"data.source={moved}") == ["teacher", "label", "report"]
    assert "new contents of data" in workshop.said[0]


def test_a_teacher_folder_counts_by_its_contents(workshop):
    model = workshop.folder / "model"
    model.mkdir()
    (model / "weights").write_text("a")
    workshop.run(f"teacher.model={model}")
    assert workshop.run(f"teacher.model={model.rename(workshop.folder / 'renamed')}") == []


@pytest.mark.parametrize("listed", [False, True], ids=["one", "several"])
def test_whatever_a_stage_is_told_to_read_counts_by_its_contents(workshop, listed):
    """Word vectors, another student, a search: no recipe lists them all."""
    extra = workshop.folder / "extra"
    extra.mkdir()
    (extra / "weights").write_text("a")
    setting = f"label.extra=[{extra}]" if listed else f"label.extra={extra}"
    workshop.run(setting)
    assert workshop.run(setting) == []
    (extra / "weights").write_text("b")
    assert workshop.run(setting) == ["label", "report"]
    assert "new contents of extra" in workshop.said[1]


def test_from_and_until_bound_the_run(workshop):
    assert workshop.run(last="label") == ["teacher", "label"]
    assert workshop.run("teacher.trainer.max_epochs=9", first="label") == ["report"]
    with pytest.raises(UserError, match="nothing to run"):
        workshop.run(first="report", last="label")


def test_from_needs_what_lies_before(workshop):
    with pytest.raises(UserError, match="--from label needs the result of stage teacher"):
        workshop.run(first="label")


def test_what_was_cut_off_goes_on_and_the_finished_is_kept(workshop):
    workshop.dies_in = "label"
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    assert not (workshop.out / "label").exists()
    workshop.dies_in = None
    assert workshop.run() == ["label", "report"]
    assert "was cut off, resumes" in workshop.said[1]
    assert (workshop.out / "label" / "started").exists()


def test_what_was_cut_off_and_then_changed_begins_afresh(workshop):
    workshop.dies_in = "label"
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    (workshop.out / ".work" / "label" / "shard").touch()
    workshop.dies_in = None
    workshop.run("label.batch_size=16")
    assert not (workshop.out / "label" / "shard").exists()


def test_training_goes_on_from_its_last_checkpoint_only(workshop):
    workshop.dies_in = "teacher"
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    assert "begins again" in workshop.said[0] and "--ckpt_path" not in workshop.arguments
    checkpoint = workshop.out / ".work" / "teacher" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    assert workshop.arguments[2:] == ["--ckpt_path", str(checkpoint)]
    newer = checkpoint.with_name("best.ckpt")
    newer.touch()
    os.utime(checkpoint, (0, 0))
    (checkpoint.parent / "last.ckpt.partial").touch()
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    assert workshop.arguments[2:] == ["--ckpt_path", str(newer)]


def test_a_failed_rerun_keeps_the_older_result(workshop):
    workshop.run()
    workshop.dies_in = "label"
    with pytest.raises(KeyboardInterrupt):
        workshop.run("label.batch_size=16")
    assert "'batch_size': 8" in (workshop.out / "label" / "result").read_text()


@pytest.mark.parametrize("setting", ["trainer.fast_dev_run=true", "trainer.limit_val_batches=0"])
def test_a_stage_that_wrote_nothing_is_not_finished(workshop, setting):
    workshop.writes = lambda output, config: (output / "started").rename(output / "checkpoints")
    key, _, value = setting.partition("=")
    with pytest.raises(UserError) as error:
        workshop.run(f"teacher.{setting}")
    found = "True" if value == "true" else value
    assert str(error.value) == (
        f"Stage teacher wrote no result, so it is not finished: {key} is {found}. Leave that out to make it."
    )
    assert read_record(workshop.out / "teacher") is None
    workshop.writes = write_result
    assert workshop.run(last="teacher") == ["teacher"]


def test_paths_and_group_point_into_the_run(workshop):
    workshop.run()
    config = read_yaml(workshop.out / "teacher" / "config.yaml")
    assert config["trainer"]["default_root_dir"] == str(workshop.out / "teacher")
    assert config["trainer"]["logger"]["init_args"] == {"name": "n", "group": "out", "save_dir": str(workshop.out)}
    assert read_yaml(workshop.out / "label" / "config.yaml")["teacher"] == str(workshop.out / "teacher")
    assert read_record(workshop.out / "label").inputs.keys() == {"teacher"}


def test_a_folder_that_run_did_not_make_is_left_alone(workshop):
    (workshop.out / "teacher").mkdir(parents=True)
    with pytest.raises(UserError, match="was not made by `run`"):
        workshop.run()
    assert workshop.run(force=["teacher"]) == ["teacher", "label", "report"]


def test_a_wrong_key_anywhere_stops_the_run_before_its_first_stage(workshop):
    def check(verb, arguments):
        if verb == "report":
            raise UserError("Unknown key 'x'.")

    recipe = read_recipe(str(workshop.folder / "recipe"))
    with pytest.raises(UserError, match="Stage report: Unknown key 'x'"):
        RecipeRun(recipe, workshop.out, workshop.execute, check, workshop.said.append).run()
    assert workshop.executed == []


def test_a_bad_table_leaves_nothing_behind(workshop):
    workshop.table.write_text("text,verdict\na,0\nb,1\n")
    with pytest.raises(
        UserError, match=r"no column 'label'.*Name the right one in label_column \(--set data.label_column="
    ):
        workshop.run()
    assert not workshop.executed and not list(workshop.out.glob(".work/*"))


def test_what_runs_anew_names_each_input_that_changed_and_how_it_was_called(workshop):
    workshop.run()
    other = workshop.folder / "other.csv"
    other.write_text("text,label\nc,0\nd,1\n")
    workshop.run(f"data.source={other}", "label.batch_size=16")
    reason = "[teacher] runs anew: new contents of data.init_args.dataset (source "
    assert workshop.said[0].startswith(f"{reason}{workshop.table}"[:100])  # long paths are cut
    assert workshop.said[2] == "[label] runs anew: batch_size 8 -> 16; new contents of teacher (stage teacher)"
    other.write_text("text,label\ne,0\nf,1\n")
    workshop.run(f"data.source={other}", "label.batch_size=16")
    assert workshop.said[0].startswith(f"{reason}{other}"[:100])


def test_equal_numbers_of_two_kinds_are_named_too(workshop):
    workshop.run()
    workshop.run("label.batch_size=8.0")
    assert workshop.said[1] == "[label] runs anew: batch_size 8 -> 8.0"


def test_work_that_was_cut_off_and_meant_something_else_says_what(workshop):
    workshop.dies_in = "label"
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    workshop.dies_in = None
    workshop.run("label.batch_size=16")
    assert workshop.said[1] == "[label] runs anew: batch_size 8 -> 16"


def test_from_asks_for_no_stage_that_is_not_read(workshop):
    assert workshop.run(last="teacher") == ["teacher"]
    recipe = workshop.folder / "recipe"
    (recipe / "augment.yaml").write_text("{output: runs/recipe/augment}")
    lines = STAGES.replace("  label: label", "  augment: augment\n  label: label")
    (recipe / "recipe.yaml").write_text(f"stages:{lines}")
    workshop.out.joinpath("teacher").rename(workshop.folder / "away")
    assert workshop.run(first="augment", last="augment") == ["augment"]
    with pytest.raises(UserError) as error:
        workshop.run(first="augment", last="label")
    assert str(error.value) == f"--from augment needs the result of stage teacher in {workshop.out}: run it first."
    with pytest.raises(UserError, match="--from report needs the result of stage teacher"):
        workshop.run(first="report")

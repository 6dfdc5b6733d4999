"""The shipped recipes: every file parses, and every stage runs, on tiny random weights."""

import csv
import json
from pathlib import Path

import pytest
from separable import write_encoder, write_glove, write_table

from tangodistill import cli
from tangodistill.recipe import read_recipe, shipped_recipes

STAGE_FILES = [(name, stage) for name in shipped_recipes() for stage in read_recipe(name).stages]
QUICK = {
    "teacher": ["trainer.max_epochs=6", "trainer.accelerator=cpu", "model.lr=2e-3"],
    "augment": ["rules.draws_per_text=3", "workers=1"],
    "student": ["trainer.max_epochs=2", "trainer.accelerator=cpu", "model.lr=5e-3", "data.batch_size=32"],
    "cascade": ["model.repeats=1"],
}


@pytest.mark.parametrize("name, stage", STAGE_FILES, ids=[f"{name}-{stage.name}" for name, stage in STAGE_FILES])
def test_each_stage_file_is_accepted_by_its_verb(name, stage):
    cli.check(stage.verb, ["--config", str(shipped_recipes()[name] / stage.file)])


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    write_encoder(folder / "encoder")
    write_glove(folder / "glove.txt")
    return folder


def run(name: str, out: Path, parts: Path, data: Path, teacher: Path, *more: str) -> None:
    """Runs a whole shipped recipe with small settings."""
    settings = [f"{stage}.{setting}" for stage, values in QUICK.items() for setting in values]
    students = [stage.name for stage in read_recipe(name).stages if stage.name.startswith("student")]
    settings += [f"{student}.model.glove={parts / 'glove.txt'}" for student in students]
    arguments = ["run", name, "--out", str(out), "--data", str(data), "--teacher", str(teacher), *more]
    assert cli.main([*arguments, *(word for setting in settings for word in ("--set", setting))]) == 0


def without_loggers(name):
    stages = [stage.name for stage in read_recipe(name).stages if "trainer" in stage.config]
    return [word for stage in stages for word in ("--set", f"{stage}.trainer.logger=false")]


@pytest.fixture(scope="module")
def demo(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "demo"
    data = write_table(parts / "reviews.csv")
    run("demo", out, parts, data, parts / "encoder")
    return out


def test_the_demo_ends_in_a_report(demo):
    assert (demo / "report" / "report.html").stat().st_size > 10_000
    summary = json.loads((demo / "cascade" / "summary.json").read_text())
    assert summary["tiers"][1]["metrics"]["accuracy"] > 0.8
    assert all((demo / tier["path"] / "model.safetensors").is_file() for tier in summary["tiers"])
    assert [path.name for path in sorted((demo / "wandb").glob("offline-run-*"))] != []


def test_a_second_demo_does_nothing(demo, parts, capsys):
    run("demo", demo, parts, parts / "reviews.csv", parts / "encoder")
    shown = capsys.readouterr().out
    assert shown.count("already done") == 6 and "runs" not in shown.replace(str(demo), "").replace("/runs", "")


def test_the_cascade_is_served(demo):
    from tangodistill import CascadePredictor

    answer = CascadePredictor.from_pretrained(demo / "cascade").predict("a truly lovely film")
    assert answer.label in ("negative", "positive") and answer.tier in (1, 2)


def test_sst2_with_a_trained_teacher_and_both_students(demo, parts, tmp_path, capsys):
    folder = glue_folder(parts / "SST-2")
    run("sst2", tmp_path / "sst2", parts, folder, demo / "teacher", *without_loggers("sst2"), "--protocol", "paper")
    assert "epoch" not in json.loads((tmp_path / "sst2" / "teacher" / "metrics.json").read_text())
    record = json.loads((tmp_path / "sst2" / "teacher" / "stage.json").read_text())
    assert record["verb"] == "validate" and "data.init_args.dataset" in record["inputs"]
    summary = json.loads((tmp_path / "sst2" / "cascade" / "summary.json").read_text())
    assert [student["name"] for student in summary["student_settings"]] == ["student", "student_paper"]
    assert "test_labelled.tsv" in summary["split"]
    paper = json.loads((tmp_path / "sst2" / "cascade" / "paper" / "summary.json").read_text())
    assert paper["protocol"] == "paper"


def test_custom_with_three_classes(parts, tmp_path):
    data = write_table(parts / "three.csv", classes=3)
    run("custom", tmp_path / "custom", parts, data, parts / "encoder", *without_loggers("custom"))
    summary = json.loads((tmp_path / "custom" / "cascade" / "summary.json").read_text())
    assert summary["label_names"] == ["negative", "neutral", "positive"]


def glue_folder(folder: Path) -> Path:
    """SST-2 as published, in small."""
    folder.mkdir()
    with write_table(folder / "all.csv").open(encoding="utf-8") as file:
        rows = [(row["text"], int(row["label"] == "positive")) for row in csv.DictReader(file)]
    for name, part in (("train", rows[:400]), ("dev", rows[400:500]), ("test_labelled", rows[500:])):
        lines = "".join(f"{text}\t{label}\n" for text, label in part)
        (folder / f"{name}.tsv").write_text(f"sentence\tlabel\n{lines}", encoding="utf-8")
    return folder

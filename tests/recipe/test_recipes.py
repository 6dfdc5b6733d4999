"""The shipped recipes: every file parses, and every stage runs, on tiny random weights."""

import json
from pathlib import Path

import pytest
import wandb
from glue_folders import write_glue
from offline_run import read_offline_runs
from separable import write_encoder, write_glove, write_questions, write_table
from transformers import AutoModelForMaskedLM, AutoTokenizer

from tangodistill.cli import main as cli
from tangodistill.cli import verbs
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.recipe.config import get_key, write_yaml
from tangodistill.recipe.reading import read_recipe, shipped_recipes, variants_of

STAGES = [(name, stage) for name in shipped_recipes() for stage in read_recipe(name).stages]
VARIANTS = [variant for name, folder in shipped_recipes().items() for variant in variants_of(name, folder)]
FIT = ["trainer.max_epochs=6", "trainer.accelerator=cpu", "model.lr=2e-3"]
TINY = ["model.layers=2", "model.hidden=32", "model.heads=2", "model.intermediate=64", "model.layer_map=null"]
SMALL_LM = ["model.layers=1", "model.width=64", "model.vocabulary=300", "model.lr=5e-3"]
GENERATORS = {
    "rules": ["draws_per_text=3"],
    "lm": ["num_samples=100", "max_new_tokens=40"],
    "mask_fill": ["draws_per_text=3", "model={parts}/masked", "glove={parts}/glove.txt"],
}
STUDENT = ["trainer.max_epochs=6", "trainer.accelerator=cpu", "model.lr=5e-3", "data.batch_size=32"]
QUICK = {
    "teacher": FIT,
    "second_tier": FIT,
    "language_model": ["model.pretrained=null", *SMALL_LM, "trainer.max_epochs=2", "trainer.accelerator=cpu"],
    "augment": ["workers=1"],
    "intermediate": [*FIT, "trainer.max_epochs=1", "model.start=random", *TINY],
    "student": STUDENT,
    "student_paper": STUDENT,
    "deebert": [*FIT, "trainer.max_epochs=1"],
    "dynamic": [*FIT, "trainer.max_epochs=1"],
    "lengths": ["examples=20", "iterations=1"],
    "export": ["formats=[]"],
    "tune": ["seconds=0.05"],
    "cascade": ["model.repeats=1"],
}


DEMO = ("--set", "export.formats=[onnxruntime-fp32]", "--set", "export.min_same=0.9")
"""The demo alone is exported for real, which takes seconds a time."""


@pytest.mark.parametrize("name, stage", STAGES, ids=[f"{name}-{stage.name}" for name, stage in STAGES])
def test_each_stage_is_accepted_by_its_verb(name, stage, tmp_path):
    write_yaml(tmp_path / "stage.yaml", stage.config)
    verbs.check(stage.verb, ["--config", str(tmp_path / "stage.yaml")])
    if stage.file:
        verbs.check(stage.verb, ["--config", str(shipped_recipes()[name] / stage.file)])


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_is_accepted_by_its_verbs(variant, tmp_path):
    for stage in read_recipe(variant).stages:
        write_yaml(tmp_path / "stage.yaml", stage.config)
        verbs.check(stage.verb, ["--config", str(tmp_path / "stage.yaml")])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_says_what_it_does_and_how_it_is_run(variant):
    name, _, file = variant.partition("/")
    lines = (shipped_recipes()[name] / f"{file}.yaml").read_text().splitlines()
    opening = "\n".join(line for line in lines if line.startswith("# "))
    for word in ("# Second tier: ", "# Epochs: ", "Length: ", "# Expected: ", f"python -m tangodistill run {variant} "):
        assert word in opening


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    write_encoder(folder / "encoder")
    write_glove(folder / "glove.txt")
    AutoModelForMaskedLM.from_pretrained(folder / "encoder").save_pretrained(folder / "masked")
    AutoTokenizer.from_pretrained(folder / "encoder").save_pretrained(folder / "masked")
    return folder


def run(name: str, out: Path, parts: Path, data: Path, teacher: Path, *more: str, glove: bool = True) -> None:
    """Runs a whole shipped recipe with small settings."""
    stages = read_recipe(name).stages
    settings = [f"{stage.name}.{setting}" for stage in stages for setting in QUICK.get(stage.name, [])]
    for augment in (stage.config for stage in stages if stage.verb == "augment"):
        generators = [kind for kind in GENERATORS if get_key(augment, kind)]
        settings += [f"augment.{kind}.{each.format(parts=parts)}" for kind in generators for each in GENERATORS[kind]]
    with_glove = [stage.name for stage in stages if glove and get_key(stage.config, "model.glove")]
    settings += [f"{stage}.model.glove={parts / 'glove.txt'}" for stage in with_glove]
    arguments = ["run", name, "--out", str(out), "--data", str(data), "--teacher", str(teacher)]
    assert cli.main([*arguments, *(word for setting in settings for word in ("--set", setting)), *more]) == 0


def without_loggers(name):
    stages = [stage.name for stage in read_recipe(name).stages if "trainer" in stage.config]
    return [word for stage in stages for word in ("--set", f"{stage}.trainer.logger=false")]


@pytest.fixture(scope="module")
def demo(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "demo"
    data = write_table(parts / "reviews.csv")
    run("demo", out, parts, data, parts / "encoder", *DEMO)
    return out


def test_the_demo_ends_in_a_report(demo):
    assert (demo / "report" / "report.html").stat().st_size > 10_000
    summary = json.loads((demo / "cascade" / "summary.json").read_text())
    assert summary["tiers"][1]["metrics"]["accuracy"] > 0.8
    assert all((demo / tier["path"] / "model.safetensors").is_file() for tier in summary["tiers"])


def test_the_demo_is_a_group_of_wandb_runs_with_their_lineage(demo):
    """Teacher -> transfer set -> student -> cascade: what one stage logged is what the next ones use."""
    wandb.teardown()
    found = {held["run"].job_type: held for held in read_offline_runs(demo)}  # in no order within one second
    runs = {stage: found.pop(stage) for stage in ("teacher", "augment", "label", "student", "cascade")}
    assert not found
    assert {held["run"].run_group for held in runs.values()} == {"demo"}
    used, made = {}, {}
    for stage, held in runs.items():
        used[stage] = {(each.type, each.digest) for each in held["artifacts"] if each.use_after_commit}
        (mine,) = [each for each in held["artifacts"] if not each.use_after_commit and each.type != "run_table"]
        assert mine.name == f"demo-{stage}"
        made[stage] = (mine.type, mine.digest)
        assert all(Path(file.local_path).is_file() for file in mine.manifest.contents if file.local_path)
    assert used["label"] == {made["teacher"], made["augment"]}
    assert used["student"] == {made["label"]}
    assert used["cascade"] == {made["student"], made["teacher"]}
    assert [kind for kind, _ in made.values()] == ["model", "transfer-set", "transfer-set", "model", "cascade"]
    for stage in ("teacher", "student"):
        assert runs[stage]["metrics"]["*"] == "trainer/global_step" and "val/score" in runs[stage]["summary"]
        assert runs[stage]["config"]["settings"]["model.init_args.lr"] > 0


def test_a_second_demo_does_nothing(demo, parts, capsys):
    run("demo", demo, parts, parts / "reviews.csv", parts / "encoder", *DEMO)
    shown = capsys.readouterr().out
    assert shown.count("already done") == 8 and "runs" not in shown.replace(str(demo), "").replace("/runs", "")


def test_the_cascade_is_served(demo):
    from tangodistill import CascadePredictor

    answer = CascadePredictor.from_pretrained(demo / "cascade").predict("a truly lovely film")
    assert answer.label in ("negative", "positive") and answer.tier in (1, 2)


def test_sst2_with_a_trained_teacher_and_both_students(demo, parts, tmp_path, capsys):
    folder = write_glue(parts / "SST-2", "sst2")
    run("sst2", tmp_path / "sst2", parts, folder, demo / "teacher", *without_loggers("sst2"), "--protocol", "paper")
    assert "epoch" not in json.loads((tmp_path / "sst2" / "teacher" / "metrics.json").read_text())
    record = json.loads((tmp_path / "sst2" / "teacher" / "stage.json").read_text())
    assert record["verb"] == "validate" and "data.init_args.dataset" in record["inputs"]
    summary = json.loads((tmp_path / "sst2" / "cascade" / "summary.json").read_text())
    assert [student["name"] for student in summary["student_settings"]] == ["student", "student_paper"]
    assert "test_labelled.tsv" in summary["split"]
    paper = json.loads((tmp_path / "sst2" / "cascade" / "paper" / "summary.json").read_text())
    assert paper["protocol"] == "paper"


def test_custom_with_a_layer_of_an_encoder_as_the_student(parts, tmp_path):
    data, student = write_table(parts / "two.csv"), {"pretrained": str(parts / "encoder"), "layers": [1], "lr": 2e-3}
    module = {"class_path": "tangodistill.modules.EncoderStudentModule", "init_args": student}
    out, more = tmp_path / "custom", without_loggers("custom")
    run(
        "custom",
        out,
        parts,
        data,
        parts / "encoder",
        *more,
        "--set",
        f"student.model={json.dumps(module)}",
        glove=False,
    )
    assert json.loads((out / "cascade" / "tier1" / "config.json").read_text())["num_hidden_layers"] == 1


def test_custom_with_three_classes(parts, tmp_path):
    data = write_table(parts / "three.csv", classes=3)
    run("custom", tmp_path / "custom", parts, data, parts / "encoder", *without_loggers("custom"))
    summary = json.loads((tmp_path / "custom" / "cascade" / "summary.json").read_text())
    assert summary["label_names"] == ["negative", "neutral", "positive"]


@pytest.mark.parametrize("name", ["cola/small", "qnli", "mrpc_bert", "mrpc_bert/small", "mrpc_roberta"])
def test_a_recipe_of_the_paper_on_its_glue_folder(parts, tmp_path, name):
    """From the folder as GLUE publishes it to the cascade, and the early exit beside it."""
    task = name.split("_")[0].split("/")[0]
    data = write_glue(tmp_path / task, task)
    more = without_loggers(name)
    if name == "mrpc_bert":
        more += ["--set", f"teacher.model.pretrained={parts / 'encoder'}"]
    run(name, tmp_path / "out", parts, data, parts / "encoder", *more)
    summary = json.loads((tmp_path / "out" / "cascade" / "summary.json").read_text())
    metric = {"cola": "mcc", "qnli": "accuracy", "mrpc": "f1"}[task]
    assert (summary["task"], summary["metric"]) == (task, metric)
    assert summary["tiers"][1]["metrics"][metric] > 0.7
    assert ("test.tsv" if task == "mrpc" else "dev.tsv") in summary["split"]
    assert summary["deebert"]
    assert (tmp_path / "out" / "second_tier").exists() == (name == "mrpc_bert")


def test_squad_with_its_length_configurations(parts, tmp_path):
    data, encoder = write_questions(tmp_path / "data"), write_encoder(tmp_path / "encoder", positions=128)
    more = [*without_loggers("squad"), "--set", f"teacher.model.pretrained={encoder}", "--set", "data.max_length=null"]
    run("squad", tmp_path / "out", parts, data, encoder, *more)
    model = json.loads((tmp_path / "out" / "dynamic" / "config.json").read_text())["model_type"]
    searched = json.loads((tmp_path / "out" / "lengths" / "length_search.json").read_text())
    summary = json.loads((tmp_path / "out" / "cascade" / "summary.json").read_text())
    assert (model, searched["settings"]["task"], summary["task"]) == ("dynamic_tinybert", "squad", "squad")
    assert len(searched["evaluations"]) == 10 and (tmp_path / "out" / "lengths" / "length_search.png").is_file()
    assert {"em", "f1"} == set(summary["tiers"][0]["metrics"])


def test_mrpc_is_read_as_published(tmp_path):
    roles = load_roles(DatasetConfig(str(write_glue(tmp_path / "MRPC", "mrpc")), task="mrpc"))
    assert len(roles.report) == len(roles.calibration) == 100
    text, pair = roles.report["text"][0], roles.report["text_pair"][0]
    assert text.startswith('"') and pair.endswith('"it')

import json

import pytest
import wandb
from offline_run import read_offline_run

from tangodistill.report.lineage import folder_artifact, log_folder

LOGGER = {"project": "demo", "name": "demo-label", "group": "a run", "job_type": "label"}


@pytest.fixture
def stages(tmp_path):
    """The folders of a teacher and of a transfer set as stages leave them."""
    teacher, label = tmp_path / "teacher", tmp_path / "label"
    for folder in (teacher, label):
        folder.mkdir()
        (folder / "stage.json").write_text(json.dumps({"settings": {"model.init_args.lr": 0.1}}))
        (folder / ".hidden").touch()
    (teacher / "model.safetensors").write_bytes(b"weights")
    for name in ("dataset_info.json", "manifest.json"):
        (label / name).write_text("{}")
    (label / "data.arrow").write_bytes(b"a thousand texts")
    return teacher, label


def test_a_model_is_held_whole(stages):
    entries = folder_artifact(stages[0], "a run").manifest.entries
    assert entries.keys() == {"model.safetensors", "stage.json"}
    assert all(entry.ref is None and entry.local_path for entry in entries.values())


def test_the_texts_of_a_transfer_set_stay_where_they_are(stages):
    artifact = folder_artifact(stages[1], "a run")
    entries = artifact.manifest.entries
    assert (artifact.name, artifact.type) == ("a-run-label", "transfer-set")
    assert entries["data.arrow"].ref == f"file://{stages[1]}/data.arrow" and not entries["data.arrow"].local_path
    assert entries["data.arrow"].digest != entries["data.arrow"].ref and entries["data.arrow"].size == 16
    assert entries["manifest.json"].local_path


def test_an_artifact_is_its_contents(stages):
    before = folder_artifact(stages[0], "run").digest
    assert folder_artifact(stages[0], "run").digest == before
    (stages[0] / "model.safetensors").write_bytes(b"others")
    assert folder_artifact(stages[0], "run").digest != before


def test_other_folders_are_no_artifacts(tmp_path):
    assert folder_artifact(tmp_path, "run") is None


def test_a_stage_without_a_trainer_gets_a_run(stages, tmp_path, capsys):
    teacher, label = stages
    log_folder(label, [teacher, tmp_path], {**LOGGER, "save_dir": str(tmp_path)})
    wandb.teardown()
    held = read_offline_run(tmp_path)
    assert (held["run"].run_group, held["run"].job_type) == ("a run", "label")
    assert held["config"]["settings"] == {"model.init_args.lr": 0.1}
    used, made = held["artifacts"]
    assert (used.name, used.use_after_commit, used.digest) == (
        *("a-run-teacher", True),
        folder_artifact(teacher, "a run").digest,
    )
    assert (made.name, made.use_after_commit) == ("a-run-label", False)
    assert capsys.readouterr().out.count("wandb sync") == 1


def test_disabled_is_disabled(stages, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    wandb.teardown()
    log_folder(stages[0], [], {**LOGGER, "save_dir": str(tmp_path)})
    wandb.teardown()
    assert not (tmp_path / "wandb").exists()


def test_what_cannot_be_read_fails_nothing(stages, tmp_path, capsys):
    (stages[0] / "stage.json").unlink()
    log_folder(stages[0], [], {**LOGGER, "save_dir": str(tmp_path)})
    assert "is not among W&B's artifacts" in capsys.readouterr().out

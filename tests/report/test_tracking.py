import json
from pathlib import Path

import pandas as pd
import pytest
import wandb
from jsonargparse import ArgumentParser
from lightning.pytorch.loggers import CSVLogger, Logger
from offline_run import read_offline_run

from tangodistill.cli.verbs import check
from tangodistill.report import tracking
from tangodistill.report.figures import cascade_figures
from tangodistill.report.run_files import read_measured
from tangodistill.report.tracking import RunLogger, cascade_scalars, log_cascade
from tangodistill.user_error import UserError


def close():
    """End the run, and W&B's own process with it: only then is the file sure to be whole."""
    wandb.finish()
    wandb.teardown()


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch, tmp_path):
    """A machine without key, netrc or settings, and without a terminal to ask at."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    close()
    yield
    close()


@pytest.fixture
def measured(finished_run):
    return read_measured(finished_run / "cascade")


def test_offline_file_holds_what_was_logged(measured, tmp_path, capsys):
    logger = RunLogger(
        project="demo", name="cascade", group="run-1", job_type="cascade", save_dir=str(tmp_path / "new")
    )
    log_cascade(logger, measured.summary, measured.points, cascade_figures(measured))
    logger.finalize("success")
    logger.finalize("success")
    close()
    assert capsys.readouterr().out.count("wandb sync") == 1

    held = read_offline_run(tmp_path / "new")
    run = held["run"]
    assert (run.project, run.display_name, run.run_group, run.job_type) == ("demo", "cascade", "run-1", "cascade")
    assert held["config"]["cascade"]["split"] == "report (test_labelled.tsv, 400 rows)"
    assert held["config"]["cascade"]["machine"]["cores"] == 2

    expected = cascade_scalars(measured.summary)
    assert {"tier1/accuracy", "tier2/mcc", "speedup_at_99", "speedup_at_98", "area", "chosen/threshold"} <= set(
        expected
    )
    assert {key: held["summary"][key] for key in expected} == pytest.approx(expected)
    assert {key: held["history"][0][key] for key in expected} == pytest.approx(expected)

    (table,) = [path for path in held["files"] if "table/operating_points" in path]
    table = json.loads((held["folder"] / table).read_text())
    logged = pd.DataFrame(table["data"], columns=table["columns"])
    assert logged["kind"].value_counts().to_dict() == measured.points["kind"].value_counts().to_dict()
    pd.testing.assert_series_equal(logged["speedup"], measured.points["speedup"], check_exact=False)

    for name in ("tradeoff", "throughput", "errors_by_confidence"):
        (image,) = [path for path in held["files"] if f"images/{name}" in path]
        assert (held["folder"] / image).read_bytes().startswith(b"\x89PNG")


def test_any_keyword_of_wandb_reaches_it(tmp_path):
    logger = {"class_path": "tangodistill.report.tracking.RunLogger"}
    keywords = {"entity": "a-team", "tags": ["x"], "notes": "hello", "settings": {"run_job_type": "here"}}
    logger["init_args"] = {**keywords, "save_dir": str(tmp_path)}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--logger", type=Logger)
    made = parser.instantiate_classes(parser.parse_object({"logger": logger})).logger
    assert made._wandb_init["entity"] == "a-team" and made._wandb_init["settings"].init_timeout == 30
    made.log_metrics({"val/score": 1.0})
    close()
    run = read_offline_run(tmp_path)["run"]
    assert (run.entity, list(run.tags), run.notes) == ("a-team", ["x"], "hello")


def test_a_keyword_that_wandb_does_not_know_is_refused(tmp_path):
    config = tmp_path / "stage.yaml"
    logger = "{class_path: tangodistill.report.tracking.RunLogger, init_args: {entty: a-team}}"
    config.write_text(f"trainer:\n  logger: {logger}\nmodel: TeacherModule\ndata: TextData\n")
    with pytest.raises(UserError, match="entty"):
        check("fit", ["--config", str(config)])


def test_axes_are_defined(measured, tmp_path):
    logger = RunLogger(save_dir=str(tmp_path))
    logger.log_metrics({"train/loss": 0.5}, step=3)
    log_cascade(logger, measured.summary, measured.points, {})
    close()
    held = read_offline_run(tmp_path)
    assert held["metrics"]["*"] == "trainer/global_step"
    assert held["metrics"]["operating/*"] == "operating/deferral_rate"
    curve = [row["operating/deferral_rate"] for row in held["history"] if "operating/deferral_rate" in row]
    assert len(curve) == tracking.CURVE_ROWS and curve == sorted(curve) and (curve[0], curve[-1]) == (0, 1)
    assert [row["trainer/global_step"] for row in held["history"] if "train/loss" in row] == [3]


def test_two_stages_in_one_process_are_two_runs(tmp_path):
    for stage in ("teacher", "student"):
        RunLogger(name=stage, save_dir=str(tmp_path / stage)).log_metrics({f"val/{stage}": 1.0})
    close()
    assert read_offline_run(tmp_path / "teacher")["run"].display_name == "teacher"
    assert "val/teacher" not in read_offline_run(tmp_path / "student")["summary"]


def test_without_the_server_runs_go_offline(monkeypatch, tmp_path, capsys):
    """A key, but nobody who answers: told once, no stage fails, and none after the first waits."""
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "INIT_TIMEOUT_S", 2.0)
    monkeypatch.setattr(RunLogger, "unreachable", False)
    for stage in ("teacher", "student"):
        RunLogger(save_dir=str(tmp_path / stage)).log_metrics({"val/score": 0.5})
    close()
    assert capsys.readouterr().out.count("W&B cannot be used") == 1
    for stage in ("teacher", "student"):
        assert read_offline_run(tmp_path / stage)["summary"]["val/score"] == 0.5


def test_wandb_mode_is_respected(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = RunLogger(save_dir=str(tmp_path / "none"))
    logger.log_metrics({"val/accuracy": 1.0})
    logger.finalize("success")
    assert not list(tmp_path.glob("none/wandb/*"))


def test_credentials_are_found_where_wandb_looks(monkeypatch, tmp_path):
    assert not tracking.has_credentials(wandb.Settings(base_url="https://wandb.example.com"))
    assert tracking.has_credentials(wandb.Settings(api_key="k" * 40))
    (tmp_path / "netrc").write_text("machine wandb.example.com login user password " + "k" * 40)
    (tmp_path / "netrc").chmod(0o600)
    assert tracking.has_credentials(wandb.Settings(base_url="https://wandb.example.com"))
    assert not tracking.has_credentials(wandb.Settings(base_url="https://other.example.com"))


def test_numbers_that_do_not_exist_are_left_out(measured):
    nothing = {"batch1": None, "best_batch": float("nan")}
    summary = {**measured.summary, "speedup_at_99": nothing}
    scalars = cascade_scalars(summary)
    assert "speedup_at_99" not in scalars and "speedup_at_99_best_batch" not in scalars and "speedup_at_98" in scalars
    assert "chosen/target" not in scalars


def test_other_loggers_get_the_numbers(measured, tmp_path):
    logger = CSVLogger(tmp_path, name="csv")
    log_cascade(logger, measured.summary, measured.points, {})
    logger.save()
    row = pd.read_csv(Path(logger.log_dir) / "metrics.csv").iloc[0]
    assert row["tier2/accuracy"] == pytest.approx(measured.summary["tiers"][1]["metrics"]["accuracy"])


def test_no_logger_is_no_error(measured):
    log_cascade(None, measured.summary, measured.points, {})

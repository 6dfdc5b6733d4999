"""A finished cascade made faster: export, tune, choose, and what each refuses."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from measured_cascade import write_measured

from tangodistill.data.contents import model_hash
from tangodistill.engines import graphs
from tangodistill.engines.exported import read_facts
from tangodistill.engines.tier_record import EXPORT_RECORD, GRAPHS
from tangodistill.predictor.cascade_folder import OperatingPoint, read_cascade, write_record
from tangodistill.predictor.here import setup_here
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.tuning import tune as tuning
from tangodistill.tuning.agreements import accepted
from tangodistill.tuning.choose import choose
from tangodistill.tuning.export import export
from tangodistill.tuning.tier_set import TierSet
from tangodistill.tuning.tune import tune
from tangodistill.tuning.tuned import tuned_for_this_cpu
from tangodistill.user_error import UserError

NOT_IN_SERVING = {"torch", "transformers", "lightning", "wandb", "nlpaug", "torchtext", "datasets", "pandas"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory, bilstm_folder, bert_folder, make_record, texts):
    record = make_record()
    folder = tmp_path_factory.mktemp("measured") / "cascade"
    return write_measured(folder, record, [bilstm_folder, bert_folder], texts)


@pytest.fixture(scope="module")
def exported_once(measured, tmp_path_factory):
    folder = shutil.copytree(measured, tmp_path_factory.mktemp("exported") / "cascade")
    export(str(folder), min_same=0.9, max_drop=0.1)
    return folder


@pytest.fixture
def folder(exported_once, tmp_path):
    return shutil.copytree(exported_once, tmp_path / "cascade")


def test_formats_are_checked_and_kept(folder):
    rows = json.loads((folder / EXPORT_RECORD).read_text())
    found = {(row["tier"], row["key"]): row for row in rows}
    assert (1, "onnxruntime-int8") not in found and (2, "onnxruntime-int8") in found
    assert (1, "openvino-int8_static") not in found  # of a recurrent tier nothing is quantised
    for tier in (1, 2):
        row = found[tier, "onnxruntime-fp32"]
        assert row["same_labels"] == 1 and row["max_difference"] < 1e-5 and row["metric"] == row["torch_metric"]
        assert accepted(folder, tier)[0] == "torch-fp32" and "onnxruntime-fp32" in accepted(folder, tier)


def test_formats_say_what_weights_they_are_of(folder):
    rows = json.loads((folder / EXPORT_RECORD).read_text())
    assert {(row["tier"], row["weights"]) for row in rows} == {
        (tier, model_hash(folder / f"tier{tier}")) for tier in (1, 2)
    }
    assert all(read_facts(folder / f"tier{tier}").weights == model_hash(folder / f"tier{tier}") for tier in (1, 2))


def test_agreement_is_counted_as_by_hand(folder):
    pair = TierSet.of_cascade(folder)
    row = next(
        row for row in json.loads((folder / EXPORT_RECORD).read_text())
        if (row["tier"], row["key"]) == (2, "openvino-bf16")
    )  # fmt: skip
    own, torch = (pair.outputs(pair.engine(2, key)) for key in ("openvino-bf16", "torch-fp32"))
    assert row["same_labels"] == pytest.approx(np.mean(own.argmax(1) == torch.argmax(1)))
    assert row["max_difference"] == pytest.approx(np.abs(own - torch).max(), abs=1e-6)
    assert row["metric"] == pytest.approx(np.mean(own.argmax(1) == pair.wanted))


@pytest.mark.parametrize("fails", ["write_fp32", "write_int8"])
def test_a_format_that_cannot_be_written_is_refused_and_the_run_goes_on(measured, tmp_path, capsys, monkeypatch, fails):
    def fail(*_):
        raise ValueError("see above") from RuntimeError("prim::XLNet is not known\n  long story")

    folder = shutil.copytree(measured, tmp_path / "cascade")
    monkeypatch.setattr(graphs, fails, fail)
    export(str(folder), formats=["torch-bf16", "onnxruntime-fp32", "onnxruntime-int8"], min_same=0.0, max_drop=1.0)
    rows = {row["key"]: row for row in json.loads((folder / EXPORT_RECORD).read_text()) if row["tier"] == 2}
    why = "can't be written (RuntimeError: prim::XLNet is not known)"
    assert rows["onnxruntime-int8"]["refused"] == why and rows["onnxruntime-int8"]["metric"] is None
    assert rows["onnxruntime-fp32"]["refused"] == (why if fails == "write_fp32" else None)
    kept = ["torch-fp32", "torch-bf16", *(["onnxruntime-fp32"] if fails == "write_int8" else [])]
    assert accepted(folder, 2) == kept
    assert f"Tier 2, onnxruntime-int8 is refused: it {why}." in " ".join(capsys.readouterr().out.split())


def test_a_format_that_cannot_be_run_is_refused(measured, tmp_path, monkeypatch):
    folder = shutil.copytree(measured, tmp_path / "cascade")
    monkeypatch.setattr(graphs, "write_fp32", lambda model, inputs, work: (work / "fp32.onnx").write_bytes(b"?"))
    export(str(folder), formats=["onnxruntime-fp32"])
    refused = [row["refused"] for row in json.loads((folder / EXPORT_RECORD).read_text())]
    assert len(refused) == 2 and all(reason.startswith("can't be run (") for reason in refused)


def test_a_format_that_loses_too_much_is_refused_and_removed(measured, tmp_path, capsys, monkeypatch):
    folder = shutil.copytree(measured, tmp_path / "cascade")
    logits = TierSet.outputs
    broken = lambda pair, engine: logits(pair, engine) * (-1 if engine.name == "onnxruntime" else 1)  # noqa: E731
    monkeypatch.setattr(TierSet, "outputs", broken)
    export(str(folder), formats=["onnxruntime-fp32", "openvino-fp32"])
    assert accepted(folder, 2) == ["torch-fp32", "openvino-fp32"]
    assert (folder / "tier2" / GRAPHS / "fp32.onnx").is_file()  # OpenVINO runs it
    export(str(folder), formats=["onnxruntime-fp32"])
    assert accepted(folder, 2) == ["torch-fp32"]
    assert not (folder / "tier2" / GRAPHS / "fp32.onnx").exists()
    assert (
        "Tier 2, onnxruntime-fp32 is refused: it loses 1.0000 of accuracy; 0.002 is allowed." in capsys.readouterr().out
    )


def test_tune_then_choose_serves_by_another_engine(folder, texts, monkeypatch):
    fast = ["onnxruntime-fp32"]
    monkeypatch.setattr(tuning, "accepted", lambda folder, tier: fast)
    before = CascadePredictor.from_pretrained(folder).predict(texts)
    tune(str(folder), seconds=0.05)
    record = read_cascade(folder)
    assert record.keys == fast * 2 and record.points == [OperatingPoint(["torch-fp32"], [0.88])]
    assert [row.key for row in tuned_for_this_cpu(folder)] == fast * 2
    with pytest.raises(UserError, match="no threshold for onnxruntime-fp32 .*Run `python -m tangodistill choose`"):
        CascadePredictor.from_pretrained(folder)
    choose(str(folder), defer=0.5)
    record = read_cascade(folder)
    assert record.calibrated.keys == fast * 2 and record.point.keys == ["onnxruntime-fp32"]
    rows = pd.read_parquet(folder / "calibration_predictions.parquet")
    assert (rows["tier1_time_s"] > 0).all() and rows["tier1_time_s"].nunique() > 1
    after = CascadePredictor.from_pretrained(folder)
    assert 0 < np.mean([answer.tier == 2 for answer in after.predict(texts)]) <= 0.5
    same_point = after.predict(texts, 0.88)
    assert [(answer.label, answer.tier) for answer in same_point] == [(answer.label, answer.tier) for answer in before]
    assert not modules_after(f"CascadePredictor.from_pretrained({str(folder)!r}).predict('good')") & NOT_IN_SERVING


def test_another_second_tier_needs_a_threshold_of_its_own(folder):
    record = read_cascade(folder)
    record.tiers[1].engine = "onnxruntime"  # as `tune` does
    write_record(folder, record)
    message = (
        "its threshold was chosen with torch-fp32 and torch-fp32, and it runs on torch-fp32 and onnxruntime-fp32 now. "
        "Run `python -m tangodistill choose`"
    )
    with pytest.raises(UserError, match=message):
        CascadePredictor.from_pretrained(folder)


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh process has loaded in the end."""
    code = f"import sys; from tangodistill import CascadePredictor; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_fastest_by_both_speeds_is_chosen(folder):
    tune(str(folder), seconds=0.05)
    (cpu,) = json.loads((folder / "tune.json").read_text())["cpus"].values()
    for tier in (1, 2):
        rows = [row for row in cpu["rows"] if row["tier"] == tier]
        best = max(rows, key=lambda row: row["throughput_batch1_per_s"] * row["throughput_best_batch_per_s"])
        assert [row for row in rows if row["chosen"]] == [best]
        assert {row["key"] for row in rows} == set(accepted(folder, tier))
        assert read_cascade(folder).keys[tier - 1] == best["key"]


def test_threads_are_tried_by_powers_of_two(folder, monkeypatch):
    monkeypatch.setattr(tuning, "accepted", lambda folder, tier: ["onnxruntime-fp32"])
    monkeypatch.setattr(tuning, "available_cores", lambda: 6)
    tune(str(folder), seconds=0.02)
    (cpu,) = json.loads((folder / "tune.json").read_text())["cpus"].values()
    assert [(row["tier"], row["threads"]) for row in cpu["rows"]] == [(t, n) for t in (1, 2) for n in (1, 2, 4, 6)]


def test_another_cpus_tuning_is_refused(folder, monkeypatch):
    tune(str(folder), seconds=0.05)
    monkeypatch.setattr("tangodistill.tuning.tuned.cpu_identity", lambda: "Abacus 9000")
    with pytest.raises(
        UserError, match="was measured on .*; this is Abacus 9000. Run `python -m tangodistill tune` here"
    ):
        tuned_for_this_cpu(folder)


@pytest.mark.parametrize(("precision", "refused"), [("fp32", False), ("bf16", True)])
def test_a_lower_precision_of_another_cpu_is_refused(cascade_folder, precision, refused):
    record = read_cascade(cascade_folder)
    record.tiers[0].precision = precision
    record.calibrated = replace(setup_here(cascade_folder, record), cpu="Abacus 9000")
    record.points.append(OperatingPoint([f"torch-{precision}"], [0.9]))
    write_record(cascade_folder, record)
    if refused:
        with pytest.raises(
            UserError, match="chosen in bf16 on Abacus 9000; this is .*Run `python -m tangodistill tune`"
        ):
            CascadePredictor.from_pretrained(cascade_folder)
    else:
        assert CascadePredictor.from_pretrained(cascade_folder).predict("good").label


def test_a_first_tier_whose_answers_depend_on_the_batch_is_refused(cascade_folder):
    record = read_cascade(cascade_folder)
    record.tiers[0].engine, record.tiers[0].precision = "onnxruntime", "int8"
    write_record(cascade_folder, record)
    with pytest.raises(UserError, match="answers in int8 depend on their batch, so no threshold holds"):
        CascadePredictor.from_pretrained(cascade_folder)


@pytest.mark.parametrize("verb", [export, tune])
def test_half_a_request_is_refused(verb, tmp_path):
    with pytest.raises(UserError, match="Give a cascade folder, or all of --tiers, "):
        verb(tiers=[str(tmp_path)])
    with pytest.raises(UserError, match="Give a cascade folder"):
        verb()


def test_without_export_there_is_nothing_to_tune(measured):
    with pytest.raises(UserError, match="Run `python -m tangodistill export` first"):
        tune(str(measured))


def test_a_folder_without_the_selection_role_is_refused(measured, tmp_path):
    folder = shutil.copytree(measured, tmp_path / "cascade")
    (folder / "selection_examples.parquet").unlink()
    message = (
        rf"^{folder}/selection_examples\.parquet is missing: engines and formats are chosen on the selection role, "
        r"which folders of earlier versions don't hold\. Run the cascade stage again\.$"
    )
    for verb in (export, tune):
        with pytest.raises(UserError, match=message):
            verb(str(folder))


def test_what_was_chosen_on_the_calibration_role_by_an_earlier_version_is_refused(folder):
    path = folder / EXPORT_RECORD
    rows = [{name: value for name, value in row.items() if name != "role"} for row in json.loads(path.read_text())]
    tune(str(folder), seconds=0.05)
    path.write_text(json.dumps(rows))
    message = (
        f"{path} is of an earlier version, which accepted formats on the calibration role, where thresholds are "
        "tested. Run `python -m tangodistill export` again."
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        tune(str(folder), seconds=0.05)
    tuned = json.loads((folder / "tune.json").read_text())
    assert [cpu.pop("role") for cpu in tuned["cpus"].values()] == ["selection"]
    (folder / "tune.json").write_text(json.dumps(tuned))
    message = (
        f"{folder}/tune.json is of an earlier version, which chose on the calibration role, where thresholds are "
        "tested. Run `python -m tangodistill tune` again."
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        tuned_for_this_cpu(folder)

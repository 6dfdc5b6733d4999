"""Stored numbers whose weights, engines, threads or machine have changed since: refused, or made anew, and said."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from exported_tier import exported
from measured_cascade import write_measured
from safetensors.torch import load_file, save_file

from tangodistill.engines.exported import read_facts, write_facts
from tangodistill.engines.tier_record import EXPORT_RECORD, GRAPHS, TierRecord
from tangodistill.predictor import here
from tangodistill.predictor.cascade_folder import OperatingPoint, read_cascade, write_cascade, write_record
from tangodistill.predictor.here import setup_here
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.predictor.setup import Setup, TierSetup
from tangodistill.tuning import tune as tuning
from tangodistill.tuning.choose import choose
from tangodistill.tuning.tune import tune
from tangodistill.tuning.tuned import Timing
from tangodistill.user_error import UserError

TUNE = "Run `python -m tangodistill tune` on the folder here, then choose again."


@pytest.fixture(scope="module")
def measured_once(tmp_path_factory, bilstm_folder, bert_folder, make_record, texts):
    folder = tmp_path_factory.mktemp("stale") / "cascade"
    return write_measured(folder, make_record(), [bilstm_folder, bert_folder], texts)


@pytest.fixture
def folder(measured_once, tmp_path):
    return shutil.copytree(measured_once, tmp_path / "cascade")


@pytest.fixture
def moved(tmp_path, bilstm_folder, bert_folder, make_record, texts, monkeypatch):
    """Measured on another machine."""
    with monkeypatch.context() as there:
        there.setattr(here, "cpu_identity", lambda: "Abacus 9000")
        return write_measured(tmp_path / "moved", make_record(), [bilstm_folder, bert_folder], texts)


@pytest.fixture
def tuned(monkeypatch):
    """Tunes to times that are given."""

    def run(folder, batch_size=16, threads=1, key="torch-fp32", per_s=(1e5, 1e4)):
        def measured(texts, tier, key, threads, *_):
            return Timing(tier, key, threads, batch_size, per_s[tier - 1], 2 * per_s[tier - 1])

        (folder / EXPORT_RECORD).write_text("[]")
        monkeypatch.setattr(tuning, "accepted", lambda folder, tier: [key])
        monkeypatch.setattr(tuning, "thread_counts", lambda cores: [threads])
        monkeypatch.setattr(tuning, "_time", measured)
        tune(str(folder))

    return run


def train_anew(tier):
    """Other weights in files of the same names and sizes."""
    path = tier / "model.safetensors"
    weights = {name: tensor + 0.5 for name, tensor in load_file(path).items()}
    path.unlink()  # a hard link
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize("number", [1, 2])
def test_a_tier_that_was_swapped_is_refused(folder, number):
    train_anew(folder / f"tier{number}")
    with pytest.raises(UserError) as caught:
        CascadePredictor.from_pretrained(folder)
    assert str(caught.value) == (
        f"{folder}: its threshold was chosen with another tier {number}: its weights, settings, tokenizer or graph are "
        "no longer the same. Run `python -m tangodistill tune` and `choose` on the folder."
    )
    for target in ({"keep": 0.9}, {"max_ms": 5}, {"defer": 0.5}):
        with pytest.raises(UserError, match=f"its calibration role was answered with another tier {number}: .*{TUNE}"):
            choose(str(folder), **target)


def test_a_swapped_tier_serves_once_it_was_tuned_and_chosen(folder, tuned, texts):
    train_anew(folder / "tier1")
    tuned(folder)
    choose(str(folder), defer=0.5)
    cascade = CascadePredictor.from_pretrained(folder)
    assert np.mean([answer.tier == 2 for answer in cascade.predict(texts)]) <= 0.5
    rows = pd.read_parquet(folder / "calibration_predictions.parquet")
    np.testing.assert_allclose(np.stack(rows["tier1_logits"]), cascade.tiers[0].engine.outputs(texts), atol=1e-5)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_settings_and_tokenizer_count_as_weights_do(folder, name):
    path = folder / "tier1" / name
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UserError, match="its threshold was chosen with another tier 1: "):
        CascadePredictor.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_length": 7}, "with tier 1 reading None tokens"),
        ({"score": "margin"}, "by the score max_probability, and it is margin now"),
    ],
)
def test_what_is_edited_in_the_record_counts(folder, change, told):
    record = read_cascade(folder)
    if "score" in change:
        record.score = change["score"]
    else:
        record.calibrated = replace(
            record.calibrated, tiers=tuple(replace(tier, max_length=20) for tier in record.calibrated.tiers)
        )
        record.tiers[0].max_length, told = 7, "with tier 1 reading 20 tokens, and it reads 7 now"
    write_record(folder, record)
    with pytest.raises(UserError, match=f"its threshold was chosen {told}"):
        CascadePredictor.from_pretrained(folder)


@pytest.fixture
def graphs(tmp_path, bilstm_folder, bert_folder, make_record, texts):
    """A cascade whose first tier runs from a graph."""
    for name, source in (("tier1", bilstm_folder), ("tier2", bert_folder)):
        (tmp_path / "graphs" / name).mkdir(parents=True)
        exported(source, tmp_path / "graphs" / name, texts, quantise=False)
        facts = read_facts(tmp_path / "graphs" / name)
        write_facts(tmp_path / "graphs" / name / GRAPHS, replace(facts, weights=here.model_hash(source)))
    (tmp_path / "graphs" / "export.json").write_text("[]")
    tiers = [TierRecord("bilstm", "tier1", "onnxruntime"), TierRecord("bert", "tier2")]
    record = make_record(tiers=tiers, points=[OperatingPoint(["onnxruntime-fp32"], [0.88])])
    folder = tmp_path / "cascade"
    write_cascade(folder, record, [bilstm_folder, bert_folder], tmp_path / "graphs")
    record.calibrated = setup_here(folder, record)
    write_record(folder, record)
    return folder


def test_a_graph_of_other_weights_is_refused(graphs):
    CascadePredictor.from_pretrained(graphs)
    train_anew(graphs / "tier1")
    with pytest.raises(UserError) as caught:
        CascadePredictor.from_pretrained(graphs)
    assert str(caught.value) == (
        f"{graphs}/tier1: its graphs were exported from other weights than {graphs}/tier1 holds. Run "
        "`python -m tangodistill export` and `tune` again, or put the weights back."
    )


def test_a_graph_that_was_written_anew_needs_a_threshold_of_its_own(graphs):
    path = graphs / "tier1" / GRAPHS / "fp32.onnx"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        UserError, match="its threshold was chosen with another tier 1: .* graph are no longer the same"
    ):
        CascadePredictor.from_pretrained(graphs)


def test_tuning_on_another_cpu_does_not_make_a_threshold_of_lower_precision_hold(folder, tuned):
    record = read_cascade(folder)
    record.tiers[0].precision = "bf16"
    record.points.append(OperatingPoint(["torch-bf16"], [0.9]))
    record.calibrated = replace(setup_here(folder, record), cpu="Abacus 9000")
    write_record(folder, record)
    tuned(folder, key="torch-bf16")
    record = read_cascade(folder)
    record.tiers[1].precision = "fp32"
    write_record(folder, record)
    assert record.tuned_on == here.cpu_identity() and record.calibrated.cpu == "Abacus 9000"
    with pytest.raises(UserError, match=r"its threshold was chosen in bf16 on Abacus 9000; this is .*`choose`"):
        CascadePredictor.from_pretrained(folder)


def test_after_tune_on_another_machine_times_are_its_own(moved, tuned, capsys):
    """The same engines, in batches of a size that was never measured there."""
    tuned(moved)
    with pytest.raises(UserError, match=r"^No threshold stays within 1e-06 ms per example; the best reachable is "):
        choose(str(moved), max_ms=1e-6)
    rows = pd.read_parquet(moved / "calibration_predictions.parquet")
    assert rows["tier1_time_s"].nunique() > 1  # not what was measured there
    capsys.readouterr()
    choose(str(moved), max_ms=1e6)
    told = capsys.readouterr().out
    assert "ms per example, one at a time; chosen on it" in told and "x at best batch sizes." in told
    assert "The report role was measured on Abacus 9000; this is " in told
    record = read_cascade(moved)
    assert record.chosen["speedup"] > 0 and record.calibrated.cpu == here.cpu_identity()
    assert [tier.batch_size for tier in record.tiers] == [16, 16]


def test_times_of_another_machine_are_not_taken_for_those_of_this_one(moved, capsys):
    before = (moved / "cascade.json").read_bytes()
    with pytest.raises(UserError) as caught:
        choose(str(moved), max_ms=0.5)
    assert str(caught.value) == (
        f"{moved}: its times were measured on Abacus 9000; this is {here.cpu_identity()}, so they say nothing of "
        f"--max-ms here. {TUNE}"
    )
    assert (moved / "cascade.json").read_bytes() == before
    choose(str(moved), defer=0.5)
    told = capsys.readouterr().out
    assert " ms " not in told and "x at best" not in told
    assert f"The report role was measured on Abacus 9000; this is {here.cpu_identity()}. {TUNE}" in told
    chosen = read_cascade(moved).chosen
    assert 0 < chosen["deferral_rate"] <= 0.5 and 0 < chosen["metric_value"] <= 1
    assert all(chosen[name] is None for name in ("predicted_s", "per_example_ms", "speedup", "speedup_best_batch"))
    CascadePredictor.from_pretrained(moved)  # fp32 answers alike on both


def test_fewer_cores_are_another_machine(folder, monkeypatch):
    monkeypatch.setattr(here, "available_cores", lambda: 64)
    with pytest.raises(UserError, match=r"its times were measured with \d+ cores at hand; here are 64, so they say"):
        choose(str(folder), max_ms=5)


def test_other_threads_are_measured_anew(folder, tuned, capsys):
    tuned(folder, batch_size=8, threads=1)
    choose(str(folder), keep=0.5)
    told = capsys.readouterr().out
    assert "The report role was measured with tier 1 on None threads in batches of 8, and it runs on 1 in" in told
    assert pd.read_parquet(folder / "calibration_predictions.parquet")["tier1_time_s"].nunique() > 1


def test_formats_of_other_weights_are_not_tuned(folder, tuned):
    tuned(folder)
    rows = [{"tier": 1, "key": "torch-bf16", "refused": None, "role": "selection", "weights": "of others"}]
    (folder / EXPORT_RECORD).write_text(json.dumps(rows))
    with pytest.raises(UserError) as caught:
        tune(str(folder))
    assert str(caught.value) == (
        f"{folder}/export.json is of other weights than {folder}/tier1 holds. Run "
        "`python -m tangodistill export` again."
    )


def test_what_was_tuned_with_other_weights_is_not_used(folder, tuned):
    tuned(folder)
    train_anew(folder / "tier2")
    with pytest.raises(UserError, match=r"its calibration role was answered with another tier 2: .*Run `python"):
        choose(str(folder), keep=0.9)


def test_answers_are_known_by_their_own_file(folder, tuned, texts):
    """`choose` that found no threshold has answered anew, and the record doesn't say so."""
    tuned(folder, key="torch-bf16")
    with pytest.raises(UserError, match="the best reachable is"):
        choose(str(folder), max_ms=1e-6)
    tuned(folder, key="torch-fp32")
    choose(str(folder), defer=0.5)
    rows = pd.read_parquet(folder / "calibration_predictions.parquet")
    outputs = CascadePredictor.from_pretrained(folder).tiers[0].engine.outputs(texts)
    np.testing.assert_allclose(np.stack(rows["tier1_logits"]), outputs, rtol=0, atol=1e-5)


@pytest.fixture
def earlier(folder):
    """As an earlier version wrote it."""
    path = folder / "cascade.json"
    record = json.loads(path.read_text())
    del record["calibrated"], record["tuned_on"]
    (point,) = record.pop("points")
    record["thresholds"] = dict(zip(point["keys"], point["thresholds"], strict=True))
    record |= {"format_version": 1, "cpu": "AMD EPYC", "calibrated_with": ["torch-fp32", "torch-fp32"]}
    path.write_text(json.dumps(record))
    for name in ("calibration_predictions", "predictions", "batch_times", "operating_points"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        table.attrs = {}
        table.to_parquet(folder / f"{name}.parquet")
    return folder


def test_a_folder_of_an_earlier_version_serves(earlier, texts, capsys):
    assert len(CascadePredictor.from_pretrained(earlier).predict(texts)) == len(texts)
    with pytest.raises(UserError, match="its times were measured on a CPU that is not recorded; this is .*tune"):
        choose(str(earlier), max_ms=5)
    choose(str(earlier), defer=0.5)
    assert "The report role was measured on a CPU that is not recorded; this is " in capsys.readouterr().out
    record = json.loads((earlier / "cascade.json").read_text())
    assert record["format_version"] == 3 and record["calibrated"]["cpu"] == here.cpu_identity()


def test_engines_that_an_earlier_version_changed_are_noticed(earlier):
    path = earlier / "cascade.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "calibrated_with": ["torch-fp32", "openvino-bf16"]}))
    with pytest.raises(UserError, match="its threshold was chosen with torch-fp32 and openvino-bf16, and it runs on"):
        CascadePredictor.from_pretrained(earlier)


def test_a_lower_precision_of_an_earlier_version_is_chosen_anew(earlier):
    path = earlier / "cascade.json"
    record = json.loads(path.read_text())
    record["tiers"][0]["precision"], record["calibrated_with"] = "bf16", ["torch-bf16", "torch-fp32"]
    path.write_text(json.dumps({**record, "thresholds": {"torch-bf16": 0.9}}))
    with pytest.raises(UserError, match="its threshold was chosen in bf16 on a CPU that is not recorded; this is"):
        CascadePredictor.from_pretrained(earlier)


def test_a_setup_that_is_none_is_refused(folder):
    path = folder / "cascade.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "calibrated": {"cpu": "x"}}))
    with pytest.raises(UserError, match="calibrated is no setup .*Run the cascade stage again"):
        read_cascade(folder)


def test_the_first_difference_is_told():
    tier = TierSetup("torch-fp32", "a", 20, 1, 8)
    then = Setup((tier, replace(tier, key="openvino-bf16")), "margin", "Abacus", 2)
    assert then.other_times(then) is None
    assert replace(then, cpu="here").other_confidences(then) is None  # of the first tier, in fp32
    assert replace(then, cpu="here").other_answers(then) == "in bf16 on Abacus; this is here"
    faster = replace(then, tiers=(replace(tier, threads=4), then.tiers[1]))
    assert faster.other_answers(then) is None
    assert faster.other_times(then) == (
        "with tier 1 on 1 threads in batches of 8, and it runs on 4 in batches of 8 now"
    )

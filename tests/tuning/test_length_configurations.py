"""A length configuration chosen at load time: by every engine, in a cascade folder, and what refuses it."""

import doctest
import json
import shutil

import numpy as np
import pytest
from measured_cascade import write_measured
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from tangodistill.engines import engine_key
from tangodistill.engines.loading import load_engine
from tangodistill.engines.tier_record import EXPORT_RECORD, GRAPHS
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.models import DynamicTinyBertForSequenceClassification
from tangodistill.predictor.cascade_folder import OperatingPoint, read_cascade, write_record
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.tuning import export as exporting
from tangodistill.tuning import tune as tuning
from tangodistill.tuning.agreements import accepted
from tangodistill.tuning.choose import choose
from tangodistill.tuning.export import export
from tangodistill.tuning.length_front import RECORD
from tangodistill.tuning.tier_set import TierSet
from tangodistill.tuning.tune import tune
from tangodistill.tuning.tuned import Timing, tuned_for_this_cpu
from tangodistill.user_error import UserError

SHORT, SHORTER = [0.8, 0.4], [0.5, 0.2]
FRONT = [{"lengths": lengths, "time_share": time, "score": time} for lengths, time in ((SHORTER, 0.5), (SHORT, 0.8))]
FORMATS = ["onnxruntime-fp32", "openvino-fp32"]


@pytest.fixture(scope="module")
def dynamic_folder(bert_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dynamic")
    bert = BertForSequenceClassification.from_pretrained(bert_folder)
    DynamicTinyBertForSequenceClassification.from_bert(bert).save_pretrained(folder)
    PreTrainedTokenizerFast.from_pretrained(bert_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported_once(dynamic_folder, bert_folder, make_record, texts, tmp_path_factory):
    """A cascade of the same weights twice, whose first tier is exported in two further length configurations."""
    folder = tmp_path_factory.mktemp("lengths")
    (folder / RECORD).write_text(json.dumps({"settings": {"model": "m"}, "front": FRONT}))
    record = make_record()
    write_measured(folder / "cascade", record, [dynamic_folder, bert_folder], texts)
    export(str(folder / "cascade"), formats=FORMATS, lengths=str(folder))
    return folder / "cascade"


@pytest.fixture
def folder(exported_once, tmp_path):
    return shutil.copytree(exported_once, tmp_path / "cascade")


@pytest.fixture(scope="module")
def expected(dynamic_folder, texts):
    """Configuration -> logits of a model that was saved with it."""

    def logits(lengths):
        engine = TorchEngine.load(dynamic_folder)
        engine.model.config.length_configuration = lengths
        return engine.outputs(texts)

    return {str(lengths): logits(lengths) for lengths in (None, SHORT, SHORTER)}


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
def test_every_engine_runs_by_the_configuration_it_is_given(exported_once, expected, texts, name):
    for lengths in (None, SHORT, SHORTER):
        engine = load_engine(exported_once / "tier1", name, "fp32", length_configuration=lengths)
        np.testing.assert_allclose(engine.outputs(texts, batch_size=8), expected[str(lengths)], rtol=0, atol=1e-5)
        assert engine.key == f"{name}-fp32" + {None: "", 0.4: "@0.8-0.4", 0.2: "@0.5-0.2"}[lengths and lengths[1]]
    assert np.abs(expected[str(SHORT)] - expected["None"]).max() > 0.01


def test_what_cannot_run_by_a_configuration_says_so(exported_once, bert_folder):
    with pytest.raises(UserError) as caught:
        load_engine(exported_once / "tier2", "torch", "fp32", length_configuration=SHORT)
    expected = (
        f"{exported_once / 'tier2'} is a bert model, which keeps all tokens: only a Dynamic-TinyBERT runs by a length "
        "configuration, such as 0.8-0.4."
    )
    assert str(caught.value) == expected
    with pytest.raises(UserError, match="length_configuration rises from 0.4"):
        load_engine(exported_once / "tier1", "torch", "fp32", length_configuration=[0.4, 0.5])
    with pytest.raises(UserError) as caught:
        load_engine(exported_once / "tier1", "onnxruntime", "fp32", length_configuration=[0.5, 0.3])
    expected = (
        f"{exported_once / 'tier1'} was not exported with the length configuration 0.5-0.3 (but with: 0.5-0.2, "
        "0.8-0.4). Write it with `python -m tangodistill export --lengths`."
    )
    assert str(caught.value) == expected
    with pytest.raises(UserError, match=r"onnx/lengths-0.8-0.4/int8.onnx is missing \(exported here: fp32\)"):
        load_engine(exported_once / "tier1", "onnxruntime", "int8", length_configuration=SHORT)


def test_export_records_each_format_in_each_configuration(exported_once, texts, expected):
    rows = [row for row in json.loads((exported_once / EXPORT_RECORD).read_text()) if row["tier"] == 1]
    further = [f"{key}@{name}" for name in ("0.5-0.2", "0.8-0.4") for key in ("torch-fp32", *FORMATS)]
    assert [row["key"] for row in rows] == [*FORMATS, *further]
    assert accepted(exported_once, 1) == ["torch-fp32", *FORMATS, *further]
    for row in rows:
        lengths = {"": None, "0.5-0.2": SHORTER, "0.8-0.4": SHORT}[row["key"].partition("@")[2]]
        own, full = (expected[str(each)].argmax(1) for each in (lengths, None))
        assert row["torch_metric"] == pytest.approx(np.mean(own == full))  # of its own configuration
        assert row["same_labels"] == 1 and row["max_difference"] < 1e-5
    assert accepted(exported_once, 2) == ["torch-fp32", *FORMATS]


def test_the_search_of_other_weights_is_refused(folder):
    settings = {"model": "m", "contents": "of others"}
    (folder / RECORD).write_text(json.dumps({"settings": settings, "front": FRONT}))
    with pytest.raises(UserError, match="tier1 holds other weights than the search of m was made with"):
        export(str(folder), formats=["openvino-fp32"], lengths=str(folder))


def test_a_format_is_refused_in_one_configuration_alone(folder, monkeypatch):
    outputs = TierSet.outputs

    def broken(pair, engine, *size):
        wrong = engine.name == "openvino" and engine.length_configuration == tuple(SHORT)
        return outputs(pair, engine, *size) * (-1 if wrong else 1)

    monkeypatch.setattr(TierSet, "outputs", broken)
    monkeypatch.setattr(exporting, "_write_graphs", lambda *_: {})  # they are there
    (folder / RECORD).write_text(json.dumps({"settings": {"model": "m"}, "front": FRONT}))
    export(str(folder), formats=["openvino-fp32"], lengths=str(folder))
    assert accepted(folder, 1)[1:] == [
        "openvino-fp32",
        "torch-fp32@0.5-0.2",
        "openvino-fp32@0.5-0.2",
        "torch-fp32@0.8-0.4",
    ]
    graphs = {path.parent.name for path in (folder / "tier1" / GRAPHS).rglob("*.onnx")}
    assert graphs == {GRAPHS, "lengths-0.5-0.2"}


def test_lengths_of_models_that_keep_all_tokens_are_refused(bert_folder, bilstm_folder, make_record, texts, tmp_path):
    folder = write_measured(tmp_path / "cascade", make_record(), [bilstm_folder, bert_folder], texts)
    with pytest.raises(UserError) as caught:
        export(str(folder), lengths="runs/x/lengths")
    assert str(caught.value) == (
        f"--lengths runs/x/lengths: none of {folder}/tier1, {folder}/tier2 is a Dynamic-TinyBERT, and other models "
        "keep all tokens. Leave --lengths out."
    )


def test_a_threshold_holds_for_its_configuration_alone(folder, expected, texts):
    record = read_cascade(folder)
    assert record.keys == ["torch-fp32"] * 2 and record.tiers[0].length_configuration is None
    record.tiers[0].engine, record.tiers[0].length_configuration = "onnxruntime", SHORT
    write_record(folder, record)
    with pytest.raises(UserError) as caught:
        CascadePredictor.from_pretrained(folder)
    assert str(caught.value) == (
        "the cascade has no threshold for onnxruntime-fp32@0.8-0.4 (it has torch-fp32): confidences differ between "
        "engines. Run `python -m tangodistill choose` on the folder."
    )
    record.points.append(OperatingPoint(["onnxruntime-fp32@0.8-0.4"], [0.8]))
    write_record(folder, record)
    with pytest.raises(UserError) as caught:
        CascadePredictor.from_pretrained(folder)
    assert str(caught.value) == (
        f"{folder}: its threshold was chosen with torch-fp32 and torch-fp32, and it runs on onnxruntime-fp32@0.8-0.4 "
        "and torch-fp32 now. Run `python -m tangodistill choose` on the folder."
    )


def timings(texts, tier, key, threads, seconds, between):
    """The first tier is fast in the shortest configuration, by ONNX Runtime."""
    fast = "@0.5-0.2" in key and key.startswith("onnxruntime")
    speed = 1e6 if tier == 1 and fast else 10.0 if tier == 1 else 1e5
    return Timing(tier, key, threads, 4, speed, 2 * speed)


def test_tune_choose_and_serve_by_another_configuration(folder, expected, texts, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "_time", timings)
    tune(str(folder))
    record = read_cascade(folder)
    assert record.keys[0] == "onnxruntime-fp32@0.5-0.2" and record.tiers[0].length_configuration == SHORTER
    assert record.tiers[1].length_configuration is None
    first, second = tuned_for_this_cpu(folder)
    assert (first.key, second.tier) == ("onnxruntime-fp32@0.5-0.2", 2)
    shown = capsys.readouterr().out
    assert "tier 1, lengths 0.5-0.2" in shown and f"its cascade defers {first.deferral_rate:.1%}" in shown
    with pytest.raises(UserError, match="no threshold for onnxruntime-fp32@0.5-0.2"):
        CascadePredictor.from_pretrained(folder)
    choose(str(folder), defer=0.5)
    record = read_cascade(folder)
    assert record.points[-1].keys == ["onnxruntime-fp32@0.5-0.2"] and record.calibrated.keys == record.keys
    predictor = CascadePredictor.from_pretrained(folder)
    stands = np.array([answer.tier for answer in predictor.predict(texts)]) == 1
    labels = np.where(stands, expected[str(SHORTER)].argmax(1), expected["None"].argmax(1))
    assert [answer.label for answer in predictor.predict(texts)] == [record.label_names[label] for label in labels]
    assert 0.5 <= stands.mean() < 1


def test_a_cheap_cascade_is_chosen_over_a_fast_first_tier(folder, monkeypatch):
    """The first tier's own configuration answers as the second, so that it never defers."""
    monkeypatch.setattr(tuning, "_time", lambda texts, tier, key, threads, seconds, between: Timing(
        tier, key, threads, 1, *[1.0 if tier == 2 else 300.0 if "@" in key else 200.0] * 2))  # fmt: skip
    tune(str(folder))
    rows = json.loads((folder / "tune.json").read_text())["cpus"].popitem()[1]["rows"]
    deferred = {row["key"].partition("@")[2]: row["deferral_rate"] for row in rows if row["deferral_rate"] is not None}
    assert deferred[""] == 0 and deferred["0.5-0.2"] > 0.01
    assert read_cascade(folder).tiers[0].length_configuration is None


@pytest.mark.parametrize("value", ["1-0.4", [1, "0.4"], 0.4])
def test_a_record_with_no_configuration_for_one_is_refused(folder, value):
    path = folder / "cascade.json"
    content = json.loads(path.read_text())
    content["tiers"][0]["length_configuration"] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_cascade(folder)
    expected = (
        f"{path}: length_configuration of tier1 is {value!r}; give a list such as [1, 0.6, 0.3, 0.1], or null for "
    )
    assert str(caught.value) == f"{expected}the tier's own."


def test_an_old_record_is_read(folder):
    path = folder / "cascade.json"
    content = json.loads(path.read_text())
    for tier in content["tiers"]:
        del tier["length_configuration"]
    path.write_text(json.dumps(content))
    assert CascadePredictor.from_pretrained(folder).thresholds.tolist() == [np.float32(0.88)]


@pytest.mark.parametrize("keep", [0.0, 1.01])
def test_more_than_all_cannot_be_kept(folder, keep):
    with pytest.raises(UserError, match="target_keep is a share of the last tier's metric, above 0 and at most 1"):
        tune(str(folder), target_keep=keep)


def test_doctests():
    assert doctest.testmod(engine_key).failed == 0

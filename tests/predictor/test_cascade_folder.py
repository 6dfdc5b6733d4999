import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tangodistill.engines.tier_record import TierRecord
from tangodistill.predictor import cascade_folder as module
from tangodistill.predictor.cascade_folder import OperatingPoint, read_cascade, write_cascade, write_record
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.predictor.setup import Setup, TierSetup
from tangodistill.user_error import UserError


def test_a_record_comes_back_whole(cascade_folder, make_record):
    setup = Setup((TierSetup("torch-fp32", "ab12", 64, 1, 8), TierSetup("openvino-bf16@1-0.5")), "margin", "a CPU", 2)
    record = make_record(chosen={"target": "keep 0.99", "threshold": 0.75}, calibrated=setup, tuned_on="another CPU")
    write_record(cascade_folder, record)
    assert read_cascade(cascade_folder) == record


def test_thresholds_keep_every_bit(cascade_folder, make_record):
    threshold = np.nextafter(np.float32(0.9), np.float32(1))
    write_record(cascade_folder, make_record(points=[OperatingPoint(["torch-fp32"], [float(threshold)])]))
    assert np.float32(read_cascade(cascade_folder).point.thresholds[0]) == threshold


def test_a_cascade_can_be_moved(cascade_folder, tmp_path, texts):
    before = CascadePredictor.from_pretrained(cascade_folder).predict(texts)
    moved = tmp_path / "elsewhere" / "served"
    moved.parent.mkdir()
    cascade_folder.rename(moved)
    assert CascadePredictor.from_pretrained(moved).predict(texts) == before


def test_only_what_serves_is_placed(tmp_path, bilstm_folder, bert_folder, make_record):
    source = shutil.copytree(bert_folder, tmp_path / "teacher")
    (source / "optimizer.pt").write_text("state")
    (source / "checkpoints").mkdir()
    write_cascade(tmp_path / "cascade", make_record(), [bilstm_folder, source])
    placed = sorted(path.name for path in (tmp_path / "cascade" / "tier2").iterdir())
    assert placed == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def test_weights_are_shared_and_small_files_are_not(cascade_folder, bert_folder):
    assert os.path.samefile(cascade_folder / "tier2" / "model.safetensors", bert_folder / "model.safetensors")
    assert not os.path.samefile(cascade_folder / "tier2" / "config.json", bert_folder / "config.json")


def test_weights_are_copied_where_links_cannot_be(
    tmp_path, bilstm_folder, bert_folder, texts, monkeypatch, make_record
):
    def refuse(*_):
        raise OSError("cross-device link")

    monkeypatch.setattr(module.os, "link", refuse)
    write_cascade(tmp_path / "cascade", make_record(), [bilstm_folder, bert_folder])
    assert not os.path.samefile(tmp_path / "cascade" / "tier2" / "model.safetensors", bert_folder / "model.safetensors")
    CascadePredictor.from_pretrained(tmp_path / "cascade").predict(texts)


def test_saving_the_teacher_again_leaves_the_cascade_as_it_was(
    cascade_folder, bert_folder, tmp_path, texts, make_record
):
    from transformers import AutoModelForSequenceClassification

    teacher = shutil.copytree(bert_folder, tmp_path / "teacher")
    write_cascade(cascade_folder, make_record(), [cascade_folder / "tier1", teacher])
    before = CascadePredictor.from_pretrained(cascade_folder).predict(texts, 2.0)
    model = AutoModelForSequenceClassification.from_pretrained(teacher)
    model.classifier.weight.data.zero_()
    model.save_pretrained(teacher)
    assert CascadePredictor.from_pretrained(cascade_folder).predict(texts, 2.0) == before


def test_writing_again_replaces_and_leaves_nothing_behind(cascade_folder, bilstm_folder, make_record):
    write_cascade(cascade_folder, make_record(task="again"), [bilstm_folder, cascade_folder / "tier2"])
    assert read_cascade(cascade_folder).task == "again"
    assert sorted(path.name for path in cascade_folder.iterdir()) == ["cascade.json", "tier1", "tier2"]


def test_what_was_exported_comes_along(tmp_path, make_record, bilstm_folder, bert_folder):
    exported = tmp_path / "export"
    (exported / "tier2" / "onnx" / "lengths-1-0.5").mkdir(parents=True)
    (exported / "tier2" / "onnx" / "fp32.onnx").write_text("graph")
    (exported / "tier2" / "onnx" / "lengths-1-0.5" / "fp32.onnx").write_text("shorter graph")
    (exported / "export.json").write_text("[]")
    write_cascade(tmp_path / "cascade", make_record(), [bilstm_folder, bert_folder], exported)
    assert (tmp_path / "cascade" / "tier2" / "onnx" / "fp32.onnx").read_text() == "graph"
    shorter = tmp_path / "cascade" / "tier2" / "onnx" / "lengths-1-0.5" / "fp32.onnx"
    assert shorter.read_text() == "shorter graph"
    assert not (tmp_path / "cascade" / "tier1" / "onnx").exists()
    assert (tmp_path / "cascade" / "export.json").read_text() == "[]"


def test_a_write_that_fails_leaves_the_old_record(cascade_folder, monkeypatch, make_record):
    before = (cascade_folder / "cascade.json").read_text()
    with pytest.raises(ValueError, match="thresholds of .'torch-fp32'. are .inf."):
        write_record(cascade_folder, make_record(points=[OperatingPoint(["torch-fp32"], [float("inf")])]))
    with pytest.raises(TypeError):
        write_record(cascade_folder, make_record(chosen={"threshold": object()}))
    assert (cascade_folder / "cascade.json").read_text() == before


def refused(folder):
    with pytest.raises(UserError) as caught:
        CascadePredictor.from_pretrained(folder)
    return str(caught.value)


def edit(folder, **changes):
    path = folder / "cascade.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path


def test_refuses_a_folder_without_a_cascade(tmp_path):
    assert refused(tmp_path).startswith(f"{tmp_path / 'cascade.json'} is missing. A cascade folder is what")


@pytest.mark.parametrize("place", ["{outside}", "../other/tier2", "tier1/../../other/tier2", "link", ".", "", 2])
def test_refuses_a_tier_outside_the_folder(cascade_folder, place):
    """`export` replaces a folder below each tier's: a record from elsewhere must not say where."""
    outside = cascade_folder.parent / "other" / "tier2"
    shutil.copytree(cascade_folder / "tier2", outside)
    (cascade_folder / "link").symlink_to(outside)
    place = place.format(outside=outside) if isinstance(place, str) else place
    tiers = json.loads((cascade_folder / "cascade.json").read_text())["tiers"]
    path = edit(cascade_folder, tiers=[tiers[0], {**tiers[1], "path": place}])
    assert refused(cascade_folder) == (
        f"{path}: the tier folder {place!r} does not lie in the cascade's own folder. Move it there, and give its path "
        "from there, such as 'tier1'."
    )


def test_a_folder_reached_by_a_link_is_read(cascade_folder, tmp_path):
    (tmp_path / "linked").symlink_to(cascade_folder)
    assert read_cascade(tmp_path / "linked").tiers[1].path == "tier2"


def test_refuses_corrupt_json(cascade_folder):
    path = cascade_folder / "cascade.json"
    path.write_text(path.read_text()[:-20])
    assert refused(cascade_folder).startswith(f"{path} is not valid JSON (")


@pytest.mark.parametrize("version", [4, "1", []])
def test_refuses_another_format(cascade_folder, version):
    path = edit(cascade_folder, format_version=version)
    assert refused(cascade_folder) == f"{path} has format_version {version!r}; this tangodistill reads 1 to 3."


def test_refuses_a_misspelt_key(cascade_folder):
    path = edit(cascade_folder, treshold=0.5)
    assert refused(cascade_folder).startswith(
        f"{path}: unknown key 'treshold'; known: calibrated, chosen, format_version, "
    )


def test_refuses_a_missing_key(cascade_folder):
    path = edit(cascade_folder, label_names=None)
    assert refused(cascade_folder).startswith(f"{path}: missing 1 required positional argument: 'label_names'")


@pytest.mark.parametrize("tiers", [["tier1", "tier2"], 7])
def test_refuses_tiers_that_are_none(cascade_folder, tiers):
    path = edit(cascade_folder, tiers=tiers)
    assert refused(cascade_folder).startswith(f"{path}: expected an object with TierRecord's keys, found")


def test_refuses_one_tier(cascade_folder):
    tiers = json.loads((cascade_folder / "cascade.json").read_text())["tiers"]
    path = edit(cascade_folder, tiers=tiers[:1], points=[])
    assert refused(cascade_folder) == f"{path} names 1 tier; a cascade has two or more. Run the cascade stage again."


@pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], "0.5", ["0.5"]])
def test_refuses_thresholds_of_another_number(cascade_folder, thresholds):
    path = edit(cascade_folder, points=[{"keys": ["torch-fp32"], "thresholds": thresholds}])
    assert refused(cascade_folder) == (
        f"{path}: a cascade of 2 tiers has one threshold for each tier but the last, 1 in all, and as many keys; found "
        f"thresholds {thresholds!r} and keys ['torch-fp32']. Run `python -m tangodistill choose` on it again."
    )


@pytest.fixture
def three_tiers(cascade_folder, swapped_folder, make_record):
    """The middle one knows the labels in another order."""
    tiers = make_record().tiers
    middle = TierRecord(name="middle", path="tier2", batch_size=3)
    record = make_record(
        tiers=[tiers[0], middle, replace(tiers[1], path="tier3")],
        points=[OperatingPoint(["torch-fp32", "torch-fp32"], [0.88, 0.7])],
    )
    last = shutil.copytree(cascade_folder / "tier2", cascade_folder.parent / "last")
    write_cascade(cascade_folder, record, [cascade_folder / "tier1", swapped_folder, last])
    return cascade_folder


def test_three_tiers_are_served(three_tiers, texts):
    predictor = CascadePredictor.from_pretrained(three_tiers)
    assert [tier.number for tier in predictor.tiers] == [1, 2, 3]
    assert predictor.thresholds.tolist() == np.float32([0.88, 0.7]).tolist()
    assert {answer.tier for answer in predictor.predict(texts, (2.0, 2.0))} == {3}
    assert {answer.tier for answer in predictor.predict(texts, (2.0, 0.0))} == {2}


def test_a_tier_that_is_left_out_is_not_loaded(three_tiers, texts):
    path = edit(three_tiers, points=[{"keys": ["torch-fp32", "torch-fp32"], "thresholds": [0.88, None]}])
    predictor = CascadePredictor.from_pretrained(path.parent)
    assert [tier.number for tier in predictor.tiers] == [1, 3]
    assert {answer.tier for answer in predictor.predict(texts)} == {1, 3}


def of_format_2(content):
    (point,) = content.pop("points")
    return content | {"format_version": 2, "thresholds": dict(zip(point["keys"], point["thresholds"], strict=True))}


def of_format_1(content):
    content = of_format_2(content) | {"format_version": 1, "calibrated_with": ["torch-fp32"] * 2, "cpu": "a CPU"}
    return {name: value for name, value in content.items() if name not in ("calibrated", "tuned_on")}


@pytest.mark.parametrize("earlier", [of_format_1, of_format_2])
def test_a_folder_of_an_earlier_format_is_read(cascade_folder, texts, earlier):
    expected = CascadePredictor.from_pretrained(cascade_folder).predict(texts)
    path = cascade_folder / "cascade.json"
    path.write_text(json.dumps(earlier(json.loads(path.read_text()))))
    assert read_cascade(cascade_folder).points == [OperatingPoint(["torch-fp32"], [0.88])]
    assert CascadePredictor.from_pretrained(cascade_folder).predict(texts) == expected


def test_refuses_a_second_threshold_in_an_earlier_format(cascade_folder):
    path = cascade_folder / "cascade.json"
    content = of_format_2(json.loads(path.read_text()))
    path.write_text(json.dumps(content | {"thresholds": {"torch-fp32": [0.9, 0.8]}}))
    assert refused(cascade_folder) == (
        f"{path}: format_version 2 has one threshold for torch-fp32, found [0.9, 0.8]. Run the cascade stage again."
    )


def test_refuses_a_tier_left_behind(cascade_folder):
    shutil.rmtree(cascade_folder / "tier2")
    assert "names the tier folder 'tier2', which is not beside it, or is empty. Copy the whole folder." in refused(
        cascade_folder
    )

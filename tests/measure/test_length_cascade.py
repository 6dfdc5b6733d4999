"""Export, tune and cascade of a Dynamic-TinyBERT first tier: what is served is what was measured, shortened alike."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from quiet_trainer import trainer
from separable import write_encoder, write_questions, write_table
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from tangodistill import CascadePredictor
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.measure import CascadeData, CascadeModule
from tangodistill.models import DynamicTinyBertForQuestionAnswering, DynamicTinyBertForSequenceClassification
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.tuning import tune as tuning
from tangodistill.tuning.choose import choose
from tangodistill.tuning.export import export
from tangodistill.tuning.length_front import RECORD
from tangodistill.tuning.measured_files import read_keys
from tangodistill.tuning.tune import tune
from tangodistill.tuning.tuned import Timing

LENGTHS = [0.7, 0.3]
KEY = "onnxruntime-fp32@0.7-0.3"
NAMES = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}


def write_tiers(folder, spans):
    """A Dynamic-TinyBERT and a BERT of other random weights, large enough that answers are no ties."""
    encoder = write_encoder(folder / "encoder", positions=128)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(encoder)
    for seed, name in enumerate(("student", "teacher")):
        torch.manual_seed(seed)
        if spans:
            model, dynamic = AutoModelForQuestionAnswering.from_pretrained(encoder), DynamicTinyBertForQuestionAnswering
        else:
            model = AutoModelForSequenceClassification.from_pretrained(encoder, **NAMES)
            dynamic = DynamicTinyBertForSequenceClassification
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
        (dynamic.from_bert(model) if name == "student" else model).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return str(folder / "student"), str(folder / "teacher")


def timings(texts, tier, key, threads, seconds, between):
    speed = 1e5 if tier == 2 or key == KEY else 1.0
    return Timing(tier, key, threads, 4, speed, 2 * speed)


@pytest.fixture(scope="module", params=["labels", "spans"])
def made(request, tmp_path_factory):
    """The cascade's folder, its data, and its first tier."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "spans":
        dataset = DatasetConfig(str(write_questions(folder / "data")), task="squad")
    else:
        dataset = DatasetConfig(str(write_table(folder / "data.csv", rows=300)))
    first, second = write_tiers(folder, request.param == "spans")
    front = [{"lengths": LENGTHS, "time_share": 0.5, "score": 0.5}]
    (folder / RECORD).write_text(json.dumps({"settings": {"model": str(first)}, "front": front}))
    stage = {"tiers": [str(first), str(second)], "dataset": dataset}
    exported = export(**stage, output=str(folder / "export"), formats=["onnxruntime-fp32"], lengths=str(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_time", timings)
        tuned = tune(**stage, exported=str(exported), output=str(folder / "tune"))
    module = CascadeModule([first, second], repeats=1, exported=str(exported), tuned=str(tuned))
    trainer(folder / "cascade").validate(module, CascadeData(dataset), verbose=False)
    return folder / "cascade", load_roles(dataset), first


def test_the_cascade_serves_what_was_measured(made):
    cascade, roles, first = made
    record, frame = read_cascade(cascade), pd.read_parquet(cascade / "predictions.parquet")
    assert record.tiers[0].length_configuration == LENGTHS and record.tiers[1].length_configuration is None
    assert record.point.keys == [KEY] == record.calibrated.keys[:1] and read_keys(cascade) == record.keys
    texts, pairs = roles.report["text"][:], roles.report["text_pair"][:] if roles.task.is_pair else None
    rows, spans = list(zip(texts, pairs, strict=True)) if pairs else texts, roles.task.kind == "spans"
    predictor = CascadePredictor.from_pretrained(cascade)
    for threshold in (record.point.thresholds[0], float(frame["confidence"].median())):
        deferred = frame["confidence"].to_numpy() < np.float32(threshold)
        served = predictor.predict(rows, threshold)
        assert [answer.tier for answer in served] == np.where(deferred, 2, 1).tolist()
        np.testing.assert_allclose([answer.confidence for answer in served], frame["confidence"], atol=1e-5)
        assert [answer.answer if spans else answer.label for answer in served] == measured(frame, deferred, spans)
    assert 0 < deferred.mean() < 1

    engine = TorchEngine.load(first, max_length=roles.task.max_length)
    full = predictor.readout.confidence(engine.outputs(texts, pairs, 32))
    assert np.abs(full - frame["confidence"]).max() > 0.01  # the full network is not what answered


def measured(frame, deferred, spans):
    if spans:
        return np.where(deferred, frame["tier2_answer"], frame["tier1_answer"]).tolist()
    first, second = (np.stack(frame[f"tier{tier}_logits"]).argmax(1) for tier in (1, 2))
    return [NAMES["id2label"][label] for label in np.where(deferred, second, first)]


def test_another_point_is_chosen_from_the_same_measurement(made, capsys):
    choose(str(made[0]), defer=0.3)
    assert "On the report role" in capsys.readouterr().out
    assert [point.keys for point in read_cascade(made[0]).points] == [[KEY]]

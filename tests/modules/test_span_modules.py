"""Teacher, TinyBERT and cascade on questions whose answer is the one word of a context that is no filler."""

import json

import lightning as L
import numpy as np
import pandas as pd
import pytest
from quiet_trainer import trainer
from searched import write_dynamic, write_search
from separable import write_encoder, write_questions
from transformers import AutoModelForQuestionAnswering

from tangodistill import CascadePredictor
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.measure import CascadeData, CascadeModule
from tangodistill.metrics import squad
from tangodistill.models import DynamicTinyBertForQuestionAnswering
from tangodistill.modules import (
    DynamicSpanModule,
    SpanData,
    SpanStudentModule,
    SpanTeacherModule,
    TinyBertIntermediateModule,
)
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.report.html import write_report
from tangodistill.report.run_files import read_measured
from tangodistill.tuning.choose import choose
from tangodistill.tuning.export import export
from tangodistill.tuning.tier_set import TierSet
from tangodistill.tuning.tune import tune
from tangodistill.user_error import UserError


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans")
    write_questions(folder / "data")
    write_encoder(folder / "encoder", positions=128)
    return folder


@pytest.fixture(scope="module")
def dataset(questions):
    return DatasetConfig(str(questions / "data"), task="squad")


@pytest.fixture(scope="module")
def teacher(questions, dataset):
    L.seed_everything(0)
    module = SpanTeacherModule(str(questions / "encoder"), lr=4e-3)
    trainer(questions / "teacher", max_epochs=15).fit(module, SpanData(dataset, batch_size=16))
    return questions / "teacher"


@pytest.fixture(scope="module")
def student(questions, dataset, teacher):
    L.seed_everything(0)
    stage1 = TinyBertIntermediateModule(
        str(teacher), start="compressed", layers=1, hidden=16, heads=2, intermediate=32, lr=3e-3
    )
    trainer(questions / "intermediate", max_epochs=4).fit(stage1, SpanData(dataset, batch_size=16))
    module = SpanStudentModule(str(questions / "intermediate"), str(teacher), lr=3e-3)
    trainer(questions / "student", max_epochs=4).fit(module, SpanData(dataset, batch_size=16))
    return questions / "student"


@pytest.fixture(scope="module")
def cascade(questions, dataset, teacher, student):
    module = CascadeModule([str(student), str(teacher)], repeats=1, score="n_best")
    trainer(questions / "run/cascade").validate(module, CascadeData(dataset), verbose=False)
    return questions / "run/cascade"


def test_the_teacher_learns_and_is_a_hugging_face_model(teacher):
    scores = json.loads((teacher / "metrics.json").read_text())
    assert scores["f1"] > 0.8 and scores["split"] == "selection"
    model = AutoModelForQuestionAnswering.from_pretrained(teacher)
    assert model.config.num_labels == 2 and not (teacher / "checkpoints").exists()


def test_validate_and_test_agree_with_its_predictions(teacher, dataset, tmp_path):
    runner, data = trainer(tmp_path), SpanData(dataset)
    (scores,) = runner.validate(SpanTeacherModule(str(teacher), save_validated=True), data, verbose=False)
    assert json.loads((tmp_path / "metrics.json").read_text())["f1"] == pytest.approx(scores["val/f1"])
    (scores,) = runner.test(SpanTeacherModule(str(teacher)), data, verbose=False)
    runner.predict(SpanTeacherModule(str(teacher)), data)
    frame, rows = pd.read_parquet(tmp_path / "predictions.parquet"), load_roles(dataset).report
    found = squad(dict(zip(frame["example_id"], frame["answer"], strict=True)),
                  dict(zip(rows["example_id"][:], rows["answers"][:], strict=True)))  # fmt: skip
    assert found == pytest.approx({"em": scores["test/em"], "f1": scores["test/f1"]})


def test_an_encoder_has_nothing_to_validate(questions, dataset, tmp_path):
    with pytest.raises(UserError, match="has no trained question-answering head"):
        trainer(tmp_path).validate(SpanTeacherModule(str(questions / "encoder")), SpanData(dataset), verbose=False)


def test_a_student_needs_a_trained_teacher(questions, dataset, tmp_path):
    module = SpanStudentModule(str(questions / "encoder"), str(questions / "encoder"))
    with pytest.raises(UserError, match="has no trained question-answering head, so its answers mean nothing"):
        trainer(tmp_path, max_epochs=1).fit(module, SpanData(dataset))


def test_a_student_learns_to_keep_fewer_tokens(questions, dataset, student, teacher, tmp_path):
    module = DynamicSpanModule(str(student), str(teacher), lr=1e-3)
    trainer(tmp_path, max_epochs=1).fit(module, SpanData(dataset, batch_size=16))
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path)
    assert model.config.model_type == "dynamic_tinybert"
    engine = TorchEngine.load(tmp_path)
    asked, contexts = ["is it so 1 ?", "is it so 2 ?"], ["the film is very lovely 42", "awful plot " + "a film " * 60]
    full = engine.outputs(asked, contexts, batch_size=2)
    engine.model.config.length_configuration = [0.5] * model.config.num_hidden_layers
    alone = np.concatenate([engine.outputs([q], [c]) for q, c in zip(asked, contexts, strict=True)])
    np.testing.assert_allclose(engine.outputs(asked, contexts, batch_size=2), alone, atol=1e-5)
    assert not np.allclose(alone, full, atol=1e-5)


def test_the_cascade_measures_what_it_serves(cascade, dataset, student):
    summary = json.loads((cascade / "summary.json").read_text())
    frame, rows = pd.read_parquet(cascade / "predictions.parquet"), load_roles(dataset).report
    wanted = ["example_id", "group", "gold", "tier1_answer", "tier1_em", "tier1_f1", "tier2_answer", "tier2_em",
              "tier2_f1", "confidence", "tier1_time_s", "tier2_time_s", "second_only_time_s", "timed"]  # fmt: skip
    assert list(frame) == wanted and frame["example_id"].tolist() == rows["example_id"][:]
    assert summary["metric"] == "f1" and set(summary["tiers"][0]["metrics"]) == {"em", "f1"}
    for tier in (1, 2):
        answers = dict(zip(frame["example_id"], frame[f"tier{tier}_answer"], strict=True))
        found = squad(answers, dict(zip(rows["example_id"][:], rows["answers"][:], strict=True)))
        assert summary["tiers"][tier - 1]["metrics"] == pytest.approx(found)
    points = pd.read_parquet(cascade / "operating_points.parquet")
    assert {"em", "f1"} < set(points)
    served = CascadePredictor.from_pretrained(cascade).predict(
        list(zip(rows["text"][:], rows["text_pair"][:], strict=True))
    )
    deferred = frame["confidence"].to_numpy() < np.float32(summary["chosen"]["threshold"])
    assert [answer.tier for answer in served] == np.where(deferred, 2, 1).tolist()
    expected = np.where(deferred, frame["tier2_answer"], frame["tier1_answer"])
    assert [answer.answer for answer in served] == expected.tolist()
    engine = TorchEngine.load(student, max_length=read_cascade(cascade).tiers[0].max_length)
    sure = engine.scoring("n_best").outputs(rows["text"][:], rows["text_pair"][:])[:, 2]
    np.testing.assert_allclose(frame["confidence"], sure, atol=1e-5)
    np.testing.assert_allclose([answer.confidence for answer in served], sure, atol=1e-5)


def test_dynamic_tinybert_stands_beside_a_cascade_of_spans(questions, dataset, teacher, student, tmp_path):
    folder = write_dynamic(tmp_path / "dynamic", student, DynamicTinyBertForQuestionAnswering)
    lengths = write_search(tmp_path / "lengths", folder)
    module = CascadeModule([str(student), str(teacher)], repeats=1, dynamic=str(lengths))
    trainer(tmp_path / "run/cascade").validate(module, CascadeData(dataset), verbose=False)
    measured, rows = read_measured(tmp_path / "run/cascade"), load_roles(dataset).report
    engine = TorchEngine.load(folder, max_length=384)
    assert measured.dynamic["lengths"].iloc[0].tolist() == [1.0]
    for point in measured.dynamic.itertuples():
        engine.model.config.length_configuration = point.lengths.tolist()
        outputs = engine.outputs(rows["text"][:], rows["text_pair"][:], batch_size=8)
        answers = [context[int(a) : int(b)] for context, (a, b, _) in zip(rows["text_pair"][:], outputs, strict=True)]
        ids = rows["example_id"][:]
        found = squad(dict(zip(ids, answers, strict=True)), dict(zip(ids, rows["answers"][:], strict=True)))
        assert {"em": point.em, "f1": point.f1} == pytest.approx(found)
    assert measured.dynamic["f1"].nunique() > 1
    assert "Keeping fewer tokens" in write_report(tmp_path / "run").read_text()


def test_deebert_is_no_neighbour_of_a_cascade_of_spans(dataset, teacher, student, tmp_path):
    module = CascadeModule([str(student), str(teacher)], early_exit=str(teacher))
    with pytest.raises(UserError, match="DeeBERT leaves early with a label, but squad asks for a span"):
        trainer(tmp_path).validate(module, CascadeData(dataset), verbose=False)


def test_export_tune_choose_and_report(cascade, dataset, capsys):
    pair, selection = TierSet.of_cascade(cascade), load_roles(dataset).selection
    assert pair.texts == selection["text"][:] and [list(gold) for gold in pair.wanted] == selection["answers"][:]
    export(str(cascade), formats=["onnxruntime-fp32"], min_same=0.9)
    tune(str(cascade), seconds=0.05)
    with pytest.raises(UserError, match="Run `python -m tangodistill choose`"):
        engines = json.loads((cascade / "cascade.json").read_text())["tiers"]
        assert any(tier["engine"] == "onnxruntime" for tier in engines)
        CascadePredictor.from_pretrained(cascade)
    measured = pd.read_parquet(cascade / "calibration_predictions.parquet")["confidence"]
    choose(str(cascade), keep=0.95)
    assert "keep 0.95 of tier 2" in capsys.readouterr().out
    anew = pd.read_parquet(cascade / "calibration_predictions.parquet")["confidence"]
    np.testing.assert_allclose(anew, measured, atol=1e-3)
    assert not (anew == measured).all() and read_cascade(cascade).score == "n_best"
    answer = CascadePredictor.from_pretrained(cascade).predict(("is it so 1 ?", "the film is very lovely 42"))
    assert answer.answer in "the film is very lovely 42" and 0 <= answer.confidence <= 1
    page = write_report(cascade.parent)
    assert page.exists() or (cascade.parent / "report/report.html").exists()

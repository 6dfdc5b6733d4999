"""A tier that gives no finite number for a row: the row gets an error that names both, the others their answers."""

import numpy as np
import pytest
from fake_engine import FakeEngine
from measured_cascade import write_measured
from span_tiers import CONTEXTS, LENGTH, QUESTIONS

from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.measure.role_answers import joined
from tangodistill.predictor.answers import readout_of
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.tuning.agreements import accepted
from tangodistill.tuning.export import export
from tangodistill.tuning.tier_set import TierSet
from tangodistill.user_error import UserError

NAMES = ("negative", "positive")
TEXTS = [f"t{i}" for i in range(10)]  # odd ones are deferred
BAD = [(1, 2), (2, 5)]  # tier and row
ERROR = "row {1}: tier {0} gave no finite numbers (nan or infinity), so there is no answer."
each_value = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])


def cascade(value, bad=BAD):
    """Two tiers; each gives the value, beside a number, for some rows."""
    logits = [{text: [0.1, 0.0] if i % 2 else [3.0, 0.0] for i, text in enumerate(TEXTS)},
              {text: [0.0, 5.0] for text in TEXTS}]  # fmt: skip
    for tier, row in bad:
        logits[tier - 1][TEXTS[row]] = [value, 0.0]
    return CascadePredictor([FakeEngine(str(i), known, []) for i, known in enumerate(logits)], NAMES, 0.7, (4, 3))


@each_value
def test_a_stream_marks_the_row_and_answers_the_others(value):
    answers = list(cascade(value).predict_iter(TEXTS))
    assert len(answers) == 10
    assert {row: answer.error for row, answer in enumerate(answers) if answer.error} == {
        2: ERROR.format(1, 2), 5: ERROR.format(2, 5),
    }  # fmt: skip
    assert [answer.tier for answer in answers] == [1, 2] * 5
    whole = list(cascade(value, bad=[]).predict_iter(TEXTS))
    assert all(answer == whole[row] for row, answer in enumerate(answers) if not answer.error)
    assert answers[2].label is answers[2].probability is answers[2].confidence is None


@each_value
@pytest.mark.parametrize(("tier", "row"), BAD)
def test_predict_raises_it(value, tier, row):
    predictor = cascade(value, [(tier, row)])
    for asked, number in ((TEXTS, row), (iter(TEXTS), row), (TEXTS[row], 0), ([TEXTS[row]], 0)):
        with pytest.raises(UserError) as error:
            predictor.predict(asked)
        assert str(error.value) == ERROR.format(tier, number)


def test_all_rows_of_a_tier_may_be_lost():
    answers = list(cascade(np.nan, [(1, row) for row in range(10)]).predict_iter(TEXTS))
    assert [answer.error for answer in answers] == [ERROR.format(1, row) for row in range(10)]


@pytest.mark.parametrize("score", ["max_probability", "n_best"])
@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_a_span_tier_that_gives_nan_in_one_window_loses_that_row_only(span_tiers, monkeypatch, score, threshold):
    """The answer may lie in the window that was lost."""
    engines = [TorchEngine.load(folder, max_length=LENGTH) for folder in span_tiers]
    failing = engines[int(threshold > 1)]
    predictor = CascadePredictor(engines, (), threshold, (4, 4), ("question", "context"), score)
    rows = list(zip(QUESTIONS, CONTEXTS, strict=True)) * 3
    expected = predictor.predict(rows)
    windows = failing.encoder.encode(*zip(*rows, strict=True))
    lost = windows.batch([np.flatnonzero(windows.example == 3)[-1]])["input_ids"][0]
    forward = type(failing)._forward

    def nan_in_that_window(engine, inputs):
        logits = np.array(forward(engine, dict(inputs)))
        if engine is failing or engine.model is failing.model:
            found = (inputs["input_ids"][:, : len(lost)] == lost[: inputs["input_ids"].shape[1]]).all(axis=1)
            logits[:, found, 5] = np.nan
        return logits

    monkeypatch.setattr(type(failing), "_forward", nan_in_that_window)
    answers = list(predictor.predict_iter(rows))
    tier = 1 + int(threshold > 1)
    assert [row for row, answer in enumerate(answers) if answer.error] == [3, 7, 11]
    assert answers[3].error == ERROR.format(tier, 3)
    for row, answer in enumerate(answers):
        if not answer.error:
            assert (answer.answer, answer.start, answer.tier) == (
                expected[row].answer, expected[row].start, expected[row].tier,
            )  # fmt: skip


def test_a_measurement_names_tier_and_row():
    batch = {
        "example_ids": list("ab"),
        "texts": list("ab"),
        "pairs": None,
        "labels": np.array([0, 1]),
        "groups": [0, 1],
    }
    outputs = (np.zeros((2, 2), np.float32), np.array([[0, 1], [np.nan, 1]], np.float32))
    with pytest.raises(UserError) as error:
        joined([{**batch, "outputs": outputs}], readout_of(NAMES, "max_probability"))
    assert str(error.value) == ERROR.format(2, 1)


def test_a_format_that_gives_nan_is_refused(
    bilstm_folder, bert_folder, texts, make_record, tmp_path, monkeypatch, capsys
):
    folder = write_measured(tmp_path / "measured", make_record(), [bilstm_folder, bert_folder], texts)
    logits = TierSet.outputs

    def broken(pair, engine):
        outputs = logits(pair, engine)
        if engine.precision == "bf16":
            outputs[3] = np.nan
        return outputs

    monkeypatch.setattr(TierSet, "outputs", broken)
    export(str(folder), formats=["torch-bf16"], min_same=0, max_drop=1)
    assert accepted(folder, 2) == ["torch-fp32"]
    assert "Tier 2, torch-bf16 is refused: it gives no finite numbers for 1 of the examples." in (
        " ".join(capsys.readouterr().out.split())
    )

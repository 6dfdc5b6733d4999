import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
from fake_engine import FakeEngine

from tangodistill.cascade.confidence import softmax
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.predictor.answers import Prediction
from tangodistill.predictor.cascade_folder import OperatingPoint, read_cascade, write_record
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.user_error import UserError

NAMES = ("negative", "positive")


@pytest.fixture
def predictor(cascade_folder):
    return CascadePredictor.from_pretrained(cascade_folder)


@pytest.fixture
def pair_predictor(bilstm_folder, bert_folder):
    engines = [TorchEngine.load(bilstm_folder), TorchEngine.load(bert_folder)]
    return CascadePredictor(engines, NAMES, 0.88, (8, 4), text_columns=("question", "sentence"))


def columns_of(answers):
    """Labels, tiers, probabilities and confidences, (n,) each."""
    rows = [(answer.label, answer.tier, answer.probability, answer.confidence) for answer in answers]
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_answers_are_the_first_tiers_or_the_seconds(predictor, texts):
    first, second = (softmax(tier.engine.outputs(texts, batch_size=8)) for tier in predictor.tiers)
    label, tier, probability, confidence = columns_of(predictor.predict(texts))
    deferred = first.max(axis=1) < 0.88
    assert 0 < deferred.sum() < len(texts)
    np.testing.assert_array_equal(tier, np.where(deferred, 2, 1))
    expected = np.where(deferred[:, None], second, first)
    assert label.tolist() == [NAMES[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose(probability, expected.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(confidence, first.max(axis=1), atol=1e-5)


def test_one_is_answered_as_among_many(predictor, texts):
    for text, among_many in zip(texts, predictor.predict(texts), strict=True):
        alone = predictor.predict(text)
        assert isinstance(alone, Prediction)
        assert (alone.label, alone.tier) == (among_many.label, among_many.tier)
        assert alone.probability == pytest.approx(among_many.probability, abs=1e-5)
        assert alone.confidence == pytest.approx(among_many.confidence, abs=1e-5)


@pytest.mark.parametrize(("threshold", "tier"), [(-np.inf, 1), (0, 1), (2.0, 2), (np.inf, 2)])
def test_extreme_thresholds_use_one_tier(predictor, texts, threshold, tier):
    _, tiers, probability, _ = columns_of(predictor.predict(texts, threshold))
    assert set(tiers) == {tier}
    outputs = predictor.tiers[tier - 1].engine.outputs(texts)
    np.testing.assert_allclose(probability, softmax(outputs).max(axis=1), atol=1e-5)


def test_defers_strictly_below_the_threshold_in_float32(predictor, texts):
    *_, confidence = columns_of(predictor.predict(texts, 0))
    middle = np.float32(np.sort(confidence)[20])
    np.testing.assert_array_equal(columns_of(predictor.predict(texts, middle))[1] == 2, confidence < middle)
    above = np.nextafter(middle, np.float32(2))
    np.testing.assert_array_equal(columns_of(predictor.predict(texts, above))[1] == 2, confidence <= middle)


def test_a_threshold_that_is_no_number_is_refused(predictor):
    with pytest.raises(UserError, match="A threshold is not a number"):
        predictor.predict("good", float("nan"))


def test_second_tier_gets_the_deferred_in_full_batches_and_one_partial_one():
    texts = [f"t{i}" for i in range(15)]
    calls = []
    first = FakeEngine("first", {text: [0.1, 0.0] if i % 2 else [3.0, 0.0] for i, text in enumerate(texts)}, calls)
    second = FakeEngine("second", {text: [0.0, 5.0] for text in texts}, calls)
    answers = CascadePredictor([first, second], NAMES, 0.7, batch_sizes=(6, 4)).predict(texts)
    assert calls == [
        ("first", ["t0", "t1", "t2", "t3", "t4", "t5"]),
        ("first", ["t6", "t7", "t8", "t9", "t10", "t11"]),
        ("first", ["t12", "t13", "t14"]),
        ("second", ["t1", "t3", "t5", "t7"]),
        ("second", ["t9", "t11", "t13"]),
    ]
    assert [(answer.tier, answer.label) for answer in answers] == [(1, NAMES[0]), (2, NAMES[1])] * 7 + [(1, NAMES[0])]


def test_second_tier_is_not_called_where_nothing_is_deferred():
    calls = []
    first = FakeEngine("first", {"sure": [9.0, 0.0]}, calls)
    CascadePredictor([first, FakeEngine("second", {}, calls)], NAMES, 0.7).predict(["sure"])
    assert calls == [("first", ["sure"])]


TEXTS3 = [f"t{i}" for i in range(12)]
SURE, HALF = [4.0, 0.0], [0.1, 0.0]
"""Logits of confidences 0.98 and 0.52."""


def three_tiers(calls):
    """The first is sure of every third text, the second of every third other one."""
    first = {text: SURE if i % 3 == 0 else HALF for i, text in enumerate(TEXTS3)}
    second = {text: [0.0, 4.0] if i % 3 == 1 else [0.0, 0.1] for i, text in enumerate(TEXTS3)}
    third = {text: [5.0, 0.0] for text in TEXTS3}
    return [FakeEngine(name, logits, calls) for name, logits in zip("abc", (first, second, third), strict=True)]


def test_a_text_stops_at_the_first_tier_that_is_sure_of_it():
    calls = []
    predictor = CascadePredictor(three_tiers(calls), NAMES, (0.7, 0.7), batch_sizes=(6, 4, 2))
    answers = predictor.predict(TEXTS3)
    assert [answer.tier for answer in answers] == [1, 2, 3] * 4
    assert [answer.label for answer in answers] == ["negative", "positive", "negative"] * 4
    assert [call[1] for call in calls if call[0] == "b"] == [["t1", "t2", "t4", "t5"], ["t7", "t8", "t10", "t11"]]
    assert [call[1] for call in calls if call[0] == "c"] == [["t2", "t5"], ["t8", "t11"]]
    # what its threshold was compared with: of the tier that answered, or of the last one that deferred
    sure, half = 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-0.1))
    assert [answer.confidence for answer in answers] == pytest.approx([sure, sure, half] * 4, abs=1e-6)
    assert [predictor.predict(text) for text in TEXTS3] == answers


@pytest.mark.parametrize(("thresholds", "asked"), [((0, 0), "a"), ((2, 0), "ab"), ((2, 2), "abc"), ((0, 2), "a")])
def test_a_tier_that_no_text_reaches_is_not_asked(thresholds, asked):
    calls = []
    answers = CascadePredictor(three_tiers(calls), NAMES, thresholds, (4, 4, 4)).predict(TEXTS3)
    assert {name for name, _ in calls} == set(asked) and {answer.tier for answer in answers} == {len(asked)}


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_three_tiers_answer_a_stream_as_they_answer_a_list(rows, monkeypatch):
    predictor = CascadePredictor(three_tiers([]), NAMES, (0.7, 0.7), (2, 3, 5))
    expected = predictor.predict(TEXTS3)
    monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", rows)
    assert list(predictor.predict_iter(iter(TEXTS3))) == expected
    assert list(predictor.predict_iter(iter(TEXTS3), max_wait_ms=5)) == expected


def test_one_tier_alone_tells_its_own_confidence():
    answer = CascadePredictor(three_tiers([])[:1], NAMES, ()).predict("t1")
    assert answer.tier == 1 and answer.confidence == pytest.approx(answer.probability)


@pytest.mark.parametrize(("tiers", "thresholds", "told"), [
    (3, 0.5, "A cascade of 3 tiers has 2 thresholds, one of each tier but the last; given: 1."),
    (3, (0.5, 0.5, 0.5), "A cascade of 3 tiers has 2 thresholds, one of each tier but the last; given: 3."),
    (2, (0.5, 0.5), "A cascade of 2 tiers has 1 threshold, one of each tier but the last; given: 2."),
])  # fmt: skip
def test_thresholds_of_another_number_are_refused(tiers, thresholds, told):
    engines = three_tiers([])[:tiers]
    for refused in (
        lambda: CascadePredictor(engines, NAMES, thresholds),
        lambda: CascadePredictor(engines, NAMES, [0.5] * (tiers - 1)).predict("t1", thresholds),
    ):
        with pytest.raises(UserError) as error:
            refused()
        assert str(error.value) == told


def test_labels_are_matched_by_name(bilstm_folder, swapped_folder, texts):
    swapped = TorchEngine.load(swapped_folder)
    assert swapped.label_names == NAMES[::-1]
    predictor = CascadePredictor([TorchEngine.load(bilstm_folder), swapped], NAMES, 2.0, (8, 8))
    expected = [swapped.label_names[i] for i in swapped.outputs(texts).argmax(axis=1)]
    assert [prediction.label for prediction in predictor.predict(texts)] == expected


def test_tiers_with_other_labels_are_refused(bilstm_folder, stranger_folder):
    engines = [TorchEngine.load(bilstm_folder), TorchEngine.load(stranger_folder)]
    with pytest.raises(UserError, match="labels bad, good, but here they are negative, positive"):
        CascadePredictor(engines, NAMES, 0.5)


def test_pairs(pair_predictor, texts):
    pairs = list(zip(texts, texts[::-1], strict=True))
    predictions = pair_predictor.predict(pairs)
    second = pair_predictor.tiers[1].engine.outputs(texts, texts[::-1])
    deferred = [row for row, prediction in enumerate(predictions) if prediction.tier == 2]
    assert 0 < len(deferred) < len(pairs)
    assert [predictions[row].label for row in deferred] == [NAMES[i] for i in second[deferred].argmax(axis=1)]
    assert pair_predictor.predict(pairs[3]).label == predictions[3].label
    assert pair_predictor.predict([list(pair) for pair in pairs]) == predictions


def test_inputs_without_an_end_are_read_in_chunks(predictor, texts, monkeypatch):
    monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", 7)
    read = []
    stream = predictor.predict_iter(read.append(text) or text for text in texts)
    first = next(stream)
    assert len(read) < len(texts)
    labels = [first.label, *(prediction.label for prediction in stream)]
    assert labels == [prediction.label for prediction in predictor.predict(texts)]


def test_a_stream_is_answered_as_a_list_is(predictor, texts, monkeypatch):
    """Whatever the chunks, and however many answers wait for a full batch of the second tier."""
    expected = predictor.predict(texts)
    for rows, held in ((1, 2), (3, 100), (7, 5), (100, 100)):
        monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", rows)
        monkeypatch.setattr("tangodistill.predictor.predictor.HELD_ROWS", held)
        answers = list(predictor.predict_iter(iter(texts)))
        for found, wanted in zip(columns_of(answers), columns_of(expected), strict=True):
            if found.dtype.kind == "f":
                np.testing.assert_allclose(found, wanted, atol=1e-5)
            else:
                assert found.tolist() == wanted.tolist()


def test_a_streams_second_tier_queue_fills_over_chunks(monkeypatch):
    monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", 4)
    texts, calls = [f"t{i}" for i in range(15)], []
    first = FakeEngine("first", {text: [0.1, 0.0] if i % 2 else [3.0, 0.0] for i, text in enumerate(texts)}, calls)
    second = FakeEngine("second", {text: [0.0, 5.0] for text in texts}, calls)
    answers = list(CascadePredictor([first, second], NAMES, 0.7, batch_sizes=(6, 3)).predict_iter(texts))
    assert [call[1] for call in calls if call[0] == "second"] == [["t1", "t3", "t5"], ["t7", "t9", "t11"], ["t13"]]
    assert [answer.tier for answer in answers] == [1, 2] * 7 + [1]


def test_a_slow_stream_does_not_wait_for_a_full_batch(predictor, texts):
    """The next text is written only when the last one is answered."""
    answered, waiting = [], iter(texts[:6])

    def one_by_one():
        for number, text in enumerate(waiting):
            while len(answered) < number:
                sleep(0.005)
            yield text

    for answer in predictor.predict_iter(one_by_one(), max_wait_ms=10):
        answered.append(answer)
    assert [answer.label for answer in answered] == [answer.label for answer in predictor.predict(texts[:6])]


def test_what_a_slow_stream_raises_is_raised(predictor):
    def broken():
        yield "good"
        raise OSError("the pipe is gone")

    with pytest.raises(OSError, match="the pipe is gone"):
        list(predictor.predict_iter(broken(), max_wait_ms=5))


def test_a_slow_stream_that_is_left_stops_drawing(predictor, monkeypatch):
    monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", 2)
    drawn = []
    stream = predictor.predict_iter((drawn.append(0) or "good" for _ in range(10**6)), 0, max_wait_ms=5)
    next(stream)
    stream.close()
    sleep(0.1)
    count = len(drawn)
    sleep(0.1)
    assert len(drawn) == count


def test_threads_share_a_predictor(predictor, texts):
    expected = predictor.predict(texts)
    with ThreadPoolExecutor(4) as pool:
        for answers in pool.map(lambda _: predictor.predict(texts), range(8)):
            assert [answer.label for answer in answers] == [answer.label for answer in expected]
            assert [answer.tier for answer in answers] == [answer.tier for answer in expected]


def test_the_held_rows_stay_few(predictor, texts, monkeypatch):
    """One text waits for the second tier, and a long input follows: its answers are not held for ever."""
    monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", 10)
    monkeypatch.setattr("tangodistill.predictor.predictor.HELD_ROWS", 30)
    *_, confidence = columns_of(predictor.predict(texts, 0))
    unsure, sure = texts[confidence.argmin()], texts[confidence.argmax()]
    drawn, rows = [], [unsure, *[sure] * 200]
    stream = predictor.predict_iter((drawn.append(0) or row for row in rows), float(confidence.min() * 1.0001))
    next(stream)
    assert len(drawn) <= 60


def test_nothing_in_nothing_out(predictor):
    assert predictor.predict([]) == []
    assert predictor.predict(iter(())) == []


@pytest.mark.parametrize(
    ("row", "found"), [(None, "None"), (7, "int 7"), (float("nan"), "float nan"), (("a", "b"), "tuple ('a', 'b')")]
)
def test_a_row_that_is_no_text_is_named(predictor, row, found):
    with pytest.raises(UserError) as caught:
        predictor.predict(["good", row])
    assert str(caught.value) == f"row 1: expected a string, found {found}."


@pytest.mark.parametrize(
    ("row", "found"), [("good film", "str 'good film'"), (("a",), "tuple ('a',)"), (("a", None), "tuple ('a', None)")]
)
def test_a_row_that_is_no_pair_is_named(pair_predictor, row, found):
    with pytest.raises(UserError) as caught:
        pair_predictor.predict([("a", "b"), row])
    assert str(caught.value) == f"row 1: expected a pair of strings (question, sentence), found {found}."


def test_rows_are_numbered_over_chunks(predictor, monkeypatch):
    monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", 2)
    with pytest.raises(UserError, match="row 4: expected a string, found None"):
        predictor.predict(["good"] * 4 + [None])


@pytest.mark.parametrize("text", ["", " ", "\x00", "🎬 ‏مرحبا", "\ud800 half", "bad " * 25_000])
def test_odd_texts_are_answered(predictor, text):
    assert predictor.predict(text, 2.0).label in NAMES
    assert predictor.predict([text, "good"], 0)[0].label in NAMES


def test_another_engines_threshold_is_not_borrowed(cascade_folder):
    record = read_cascade(cascade_folder)
    record.points = [OperatingPoint(["onnxruntime-int8"], [0.8])]
    write_record(cascade_folder, record)
    with pytest.raises(UserError, match="no threshold for torch-fp32 .it has onnxruntime-int8.*tangodistill choose"):
        CascadePredictor.from_pretrained(cascade_folder)


def test_an_unknown_engine_is_refused(cascade_folder):
    record = read_cascade(cascade_folder)
    record.tiers[1].engine = "abacus"
    write_record(cascade_folder, record)
    with pytest.raises(
        UserError, match="tier2: no engine abacus-fp32; known: torch-fp32, torch-bf16, onnxruntime-fp32"
    ):
        CascadePredictor.from_pretrained(cascade_folder)


def test_serving_imports_no_training_library():
    code = "import sys, tangodistill.predictor.predictor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    unwanted = "lightning pytorch_lightning wandb nlpaug torchtext datasets pandas torch transformers".split()
    assert not set(unwanted) & set(loaded)

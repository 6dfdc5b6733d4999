"""Span tiers: questions answered by pieces of their contexts, alone and in a cascade."""

from dataclasses import asdict

import numpy as np
import pytest
import span_tokenizers
import torch
from span_tiers import CONTEXTS, LENGTH, QUESTIONS
from transformers import BertForQuestionAnswering

from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.data.windows import WindowEncoder
from tangodistill.engines.exported import GRAPH_OF, TOKENIZER, write_facts
from tangodistill.engines.graphs import write_fp32
from tangodistill.engines.loading import load_engine
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.user_error import UserError

CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def engine(span_tiers):
    return TorchEngine.load(span_tiers[0], max_length=LENGTH)


@pytest.fixture(params=["max_probability", "n_best"])
def scored(request, engine):
    """An engine that finds its answers by either score."""
    return engine.scoring(request.param)


def test_an_answer_is_the_most_probable_span_of_all_windows(span_tiers, engine):
    model = BertForQuestionAnswering.from_pretrained(span_tiers[0]).eval()
    windows = WindowEncoder.of(span_tokenizers.bert(), LENGTH).encode(QUESTIONS[:1], CONTEXTS[:1])
    assert len(windows) > 1
    best = (0.0, 0, 0)
    for window in range(len(windows)):
        inputs = {name: torch.from_numpy(array) for name, array in windows.batch([window]).items()}
        with torch.inference_mode():
            answer = model(**inputs)
        start, end = (logits[0].double().softmax(0) for logits in (answer.start_logits, answer.end_logits))
        offset, width = windows.tokens.offsets[window], len(start)
        places = [i for i in range(width) if windows.starts[offset + i] >= 0]
        for i in places:
            for j in (j for j in places if i <= j < i + 30):
                found = (float(start[i] * end[j]), int(windows.starts[offset + i]), int(windows.ends[offset + j]))
                best = max(best, found, key=lambda each: each[0])
    ((start, end, probability),) = engine.outputs(QUESTIONS[:1], CONTEXTS[:1])
    assert probability == pytest.approx(best[0], abs=1e-6) and (start, end) == best[1:]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("pad_to_max", [False, True])
def test_answers_depend_on_neither_batch_nor_padding_nor_order(scored, batch_size, pad_to_max):
    alone = np.concatenate([scored.outputs([q], [c]) for q, c in zip(QUESTIONS, CONTEXTS, strict=True)])
    np.testing.assert_allclose(scored.outputs(QUESTIONS, CONTEXTS, batch_size, pad_to_max), alone, **CLOSE)
    turned = scored.outputs(QUESTIONS[::-1], CONTEXTS[::-1], batch_size, pad_to_max)[::-1]
    np.testing.assert_allclose(turned, alone, **CLOSE)


def test_an_empty_context_has_an_empty_answer_without_confidence(scored):
    assert scored.outputs(QUESTIONS[2:3], CONTEXTS[2:3]).tolist() == [[0, 0, 0]]


def test_either_score_finds_the_same_answer_in_one_window(engine):
    asked = QUESTIONS[1:2], CONTEXTS[1:2]
    assert len(engine.encoder.encode(*asked)) == 1
    plain, among = engine.outputs(*asked)[0], engine.scoring("n_best").outputs(*asked)[0]
    assert plain[:2].tolist() == among[:2].tolist() and plain[2] < among[2] < 1  # fewer spans share the probability
    assert engine.span_score == "max_probability"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_exported_tier_answers_as_pytorch_does(span_tiers, engine, tmp_path, name):
    graphs = tmp_path / "onnx"
    graphs.mkdir()
    write_fp32(engine.model, engine.encoder.encode(QUESTIONS[:2], CONTEXTS[:2]).batch([0, 1]), graphs)
    write_facts(graphs, engine.facts)
    engine.encoder.save(graphs / TOKENIZER)
    assert (graphs / GRAPH_OF["fp32"]).is_file()
    other = load_engine(tmp_path, name, "fp32", LENGTH)
    assert other.facts == engine.facts
    expected = engine.outputs(QUESTIONS, CONTEXTS, 2)
    np.testing.assert_allclose(other.outputs(QUESTIONS, CONTEXTS, 3), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("threshold, tier", [(0.0, 1), (1.1, 2)])
def test_a_cascade_answers_questions(span_tiers, threshold, tier):
    engines = [TorchEngine.load(folder, max_length=LENGTH) for folder in span_tiers]
    cascade = CascadePredictor(engines, (), threshold, (4, 4), ("question", "context"))
    answers = cascade.predict(list(zip(QUESTIONS, CONTEXTS, strict=True)))
    outputs = engines[tier - 1].outputs(QUESTIONS, CONTEXTS)
    for answer, context, (start, end, probability) in zip(answers, CONTEXTS, outputs, strict=True):
        assert answer.answer == context[int(start) : int(end)] == context[answer.start : answer.end]
        assert answer.tier == tier and answer.probability == pytest.approx(probability, abs=1e-5)
    one = cascade.predict((QUESTIONS[1], CONTEXTS[1]))
    assert asdict(one) == pytest.approx(asdict(answers[1]), abs=1e-5)


@pytest.mark.parametrize("score", ["max_probability", "n_best"])
def test_the_threshold_decides_by_question(span_tiers, score):
    engines = [TorchEngine.load(folder, max_length=LENGTH) for folder in span_tiers]
    sure = engines[0].scoring(score).outputs(QUESTIONS, CONTEXTS)[:, 2]
    threshold = float(np.sort(sure)[1:3].mean())
    cascade = CascadePredictor(engines, (), threshold, (4, 4), ("question", "context"), score)
    tiers_used = [answer.tier for answer in cascade.predict(list(zip(QUESTIONS, CONTEXTS, strict=True)))]
    assert tiers_used == np.where(sure < np.float32(threshold), 2, 1).tolist() and set(tiers_used) == {1, 2}


def test_a_classifier_is_no_tier_of_a_span_cascade(span_tiers, bert_folder):
    engines = [TorchEngine.load(span_tiers[0]), TorchEngine.load(bert_folder)]
    with pytest.raises(UserError, match="is a classifier, but this cascade answers questions by spans"):
        CascadePredictor(engines, (), 0.5, (1, 1), ("question", "context"))


@pytest.mark.parametrize(
    ("label_names", "score", "message"),
    [
        ((), "entropy", "score is 'entropy'; a cascade that answers with spans knows max_probability, n_best."),
        (("a", "b"), "n_best", "score is 'n_best'; a cascade that answers with labels knows max_probability, margin, "),
    ],
)
def test_a_score_belongs_to_a_kind_of_answer(label_names, score, message):
    with pytest.raises(UserError, match=message):
        CascadePredictor((), label_names, 0.5, score=score)


def test_windows_are_batched_as_texts_are(engine):
    windows = engine.encoder.encode(QUESTIONS, CONTEXTS)
    assert isinstance(windows.tokens, TokenizedTexts) and windows.examples == len(QUESTIONS) < len(windows)

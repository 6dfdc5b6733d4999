"""Dynamic-TinyBERT: BERT where nothing is dropped, drop-and-restore by hand, and its life as a Hugging Face model."""

import doctest

import numpy as np
import pytest
import torch
from tiny_classifiers import SIZES, ragged_batch, tiny_classifier
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForQuestionAnswering,
    BertModel,
)

from tangodistill.models import (
    DynamicTinyBertForQuestionAnswering,
    DynamicTinyBertForSequenceClassification,
    drop_and_restore,
)
from tangodistill.models.drop_and_restore import most_significant
from tangodistill.models.positions import position_limit
from tangodistill.user_error import UserError

CLOSE = {"rtol": 0, "atol": 1e-5}
SHRINKING = [0.8, 0.5, 0.5, 0.2]
LENGTHS = (3, 12, 7, 1, 9)  # of the batch


def span_bert() -> BertForQuestionAnswering:
    torch.manual_seed(1)
    model = BertForQuestionAnswering(BertConfig(num_hidden_layers=4, max_position_embeddings=16, **SIZES))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model.eval()


def classifier(lengths=None) -> DynamicTinyBertForSequenceClassification:
    return DynamicTinyBertForSequenceClassification.from_bert(tiny_classifier("bert"), lengths)


def span_model(lengths=None) -> DynamicTinyBertForQuestionAnswering:
    return DynamicTinyBertForQuestionAnswering.from_bert(span_bert(), lengths)


def answers(model, **inputs) -> list[torch.Tensor]:
    """Of each example, without the logits at padding."""
    with torch.no_grad():
        output = model(**inputs)
    if isinstance(model, DynamicTinyBertForSequenceClassification):
        return list(output.logits)
    spans, real = torch.stack([output.start_logits, output.end_logits], -1), inputs["attention_mask"].bool()
    return [own[mask] for own, mask in zip(spans, real, strict=True)]


@pytest.fixture
def inputs():
    return ragged_batch("bert", LENGTHS)


@torch.no_grad()
def test_without_dropping_it_is_bert(inputs):
    for lengths in (None, [1.0] * 4):
        torch.testing.assert_close(classifier(lengths)(**inputs).logits, tiny_classifier("bert")(**inputs).logits)
        own, expected = span_model(lengths)(**inputs), span_bert()(**inputs)
        torch.testing.assert_close(own.start_logits, expected.start_logits, **CLOSE)
        torch.testing.assert_close(own.end_logits, expected.end_logits, **CLOSE)


@torch.no_grad()
def by_hand(bert, ids, lengths, keep_first):
    """Latest states (n, hidden) of one example without padding, by eager attention's own probabilities."""
    bert.set_attn_implementation("eager")
    hidden = bert.embeddings(ids)[0]
    n = len(hidden)
    latest, places = hidden.clone(), list(range(n))
    for ratio, layer in zip(lengths, bert.encoder.layer, strict=True):
        attended, probabilities = layer.attention(hidden[None], None)
        scores = probabilities[0].sum((0, 1)).tolist()
        if keep_first:
            scores[places.index(0)] = float("inf")
        k = min(max(2, int(np.ceil(round(ratio * n, 9)))), n)
        chosen = sorted(sorted(range(len(places)), key=lambda i: -scores[i])[:k], key=lambda i: places[i])
        places = [places[i] for i in chosen]
        hidden = layer.feed_forward_chunk(attended[:, chosen])[0]
        latest[places] = hidden
    return latest


@pytest.mark.parametrize("build, keep_first", [(classifier, True), (span_model, False)])
def test_each_position_has_its_latest_state(build, keep_first):
    inputs = ragged_batch("bert", LENGTHS, types=False)
    states = build(SHRINKING).encode(**inputs).detach()
    assert states.shape == (5, 12, 24)
    for i, n in enumerate(LENGTHS):
        bert = (tiny_classifier("bert") if keep_first else span_bert()).bert
        expected = by_hand(bert, inputs["input_ids"][i : i + 1, :n], SHRINKING, keep_first)
        torch.testing.assert_close(states[i, :n], expected, **CLOSE)


@pytest.mark.parametrize("build", [classifier, span_model])
def test_the_answer_depends_on_neither_batch_nor_padding_nor_order(build, inputs):
    model = build(SHRINKING)
    together = answers(model, **inputs)
    for i, n in enumerate(LENGTHS):
        for length in (n, 12):
            alone = {name: values[i : i + 1, :length] for name, values in inputs.items()}
            torch.testing.assert_close(answers(model, **alone)[0], together[i], **CLOSE)
    backwards = answers(model, **{name: values.flip(0) for name, values in inputs.items()})
    for own, other in zip(together, reversed(backwards), strict=True):
        torch.testing.assert_close(own, other, **CLOSE)


def test_what_padding_holds_is_never_seen(inputs):
    other = inputs | {"input_ids": torch.where(inputs["attention_mask"] == 1, inputs["input_ids"], 17)}
    for model in (classifier(SHRINKING), span_model(SHRINKING)):
        for own, same in zip(answers(model, **inputs), answers(model, **other), strict=True):
            torch.testing.assert_close(own, same, **CLOSE)


def test_the_model_shrinks_with_its_configuration(inputs):
    model, seen = classifier(), []
    for layer in model.bert.encoder.layer:
        layer.intermediate.register_forward_hook(lambda module, given, _: seen.append(given[0].shape[1]))
    for lengths, expected in [
        ([1.0] * 4, [12, 12, 12, 12]),
        (SHRINKING, [10, 6, 6, 3]),
        ([0.01] * 4, [2, 2, 2, 2]),
    ]:
        seen.clear()
        model(**inputs, length_configuration=lengths)
        assert seen == expected


def test_a_configuration_in_the_call_goes_before_the_models_own(inputs):
    expected = answers(classifier(SHRINKING), **inputs)
    for own, same in zip(answers(classifier(), **inputs, length_configuration=SHRINKING), expected, strict=True):
        torch.testing.assert_close(own, same, **CLOSE)


@torch.no_grad()
def test_a_dropped_layer_passes_its_input_on(inputs):
    source = tiny_classifier("bert")
    del source.bert.encoder.layer[1]
    dropped = classifier()(**inputs, kept_layers=[True, False, True, True])
    torch.testing.assert_close(dropped.logits, source(**inputs).logits, **CLOSE)
    shrinking = classifier()(**inputs, length_configuration=SHRINKING, kept_layers=[True, False, True, True]).logits
    source = DynamicTinyBertForSequenceClassification.from_bert(tiny_classifier("bert", layers=4))
    del source.bert.encoder.layer[1]
    torch.testing.assert_close(source(**inputs, length_configuration=[0.8, 0.5, 0.2]).logits, shrinking, **CLOSE)


def test_ties_go_by_position_in_any_length():
    for length in (5, 40, 600):
        scores, real = torch.zeros(2, length), torch.ones(2, length, dtype=torch.bool)
        assert most_significant(scores, real, 4, keep_first=False).tolist() == [[0, 1, 2, 3]] * 2
    scores, real = torch.randint(0, 9, (3, 50)).float(), torch.arange(50) < torch.tensor([[50], [20], [2]])
    order = scores.masked_fill(~real, -1).sort(dim=1, descending=True, stable=True).indices
    assert torch.equal(most_significant(scores, real, 50, keep_first=False), order)


@pytest.mark.parametrize("build", [classifier, span_model])
def test_gradients_reach_every_weight_and_respect_dropout(build, inputs):
    model = build(SHRINKING).train()
    targets = [{"labels": torch.tensor([0, 1, 2, 0, 1])}, {"start_positions": torch.ones(5).long()}]
    targets[1]["end_positions"] = torch.tensor([2, 11, 90, 0, 3])
    model(**inputs, **targets[build is span_model]).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    with torch.no_grad():
        assert not torch.equal(model.encode(**inputs), model.encode(**inputs))


def test_losses_are_those_of_bert(inputs):
    labels = torch.tensor([0, 1, 2, 0, 1])
    torch.testing.assert_close(
        classifier()(**inputs, labels=labels).loss, tiny_classifier("bert")(**inputs, labels=labels).loss
    )
    spans = {"start_positions": torch.tensor([1, 4, 99, 0, 2]), "end_positions": torch.tensor([2, 11, 99, 0, 3])}
    torch.testing.assert_close(span_model()(**inputs, **spans).loss, span_bert()(**inputs, **spans).loss)


@pytest.mark.parametrize(
    "build, auto", [(classifier, AutoModelForSequenceClassification), (span_model, AutoModelForQuestionAnswering)]
)
def test_auto_classes_load_what_was_saved(build, auto, inputs, tmp_path):
    saved = build(SHRINKING)
    saved.save_pretrained(tmp_path)
    loaded, loading = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is type(saved) and not loading["missing_keys"] and not loading["unexpected_keys"]
    assert loaded.config.length_configuration == SHRINKING and position_limit(loaded) == 16
    for own, same in zip(answers(loaded, **inputs), answers(saved, **inputs), strict=True):
        torch.testing.assert_close(own, same, **CLOSE)


@torch.no_grad()
def test_a_berts_folder_starts_one(inputs, tmp_path):
    bert = tiny_classifier("bert")
    bert.save_pretrained(tmp_path)
    model = DynamicTinyBertForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(model(**inputs).logits, bert(**inputs).logits, **CLOSE)
    model.save_pretrained(tmp_path / "own")
    assert isinstance(AutoModelForSequenceClassification.from_pretrained(tmp_path / "own"), type(model))
    bare = BertModel.from_pretrained(tmp_path)
    for source in (bert, bare):
        spans = DynamicTinyBertForQuestionAnswering.from_bert(source)
        torch.testing.assert_close(spans.encode(**inputs), bare(**inputs).last_hidden_state, **CLOSE)
        assert spans(**inputs).end_logits.shape == (5, 12)


def test_what_it_cannot_be_is_refused():
    with pytest.raises(UserError, match="is a roberta model; a Dynamic-TinyBERT starts from a BERT"):
        DynamicTinyBertForSequenceClassification.from_bert(tiny_classifier("roberta"))
    with pytest.raises(UserError, match="has 2 entries"):
        classifier([0.5, 0.2])


def test_doctests():
    assert doctest.testmod(drop_and_restore).failed == 0

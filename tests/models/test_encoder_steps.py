"""The steps give what the model's own forward gives: the guard against new versions of transformers."""

import pytest
import torch
from tiny_classifiers import ragged_batch, tiny_classifier
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from tangodistill.models.encoder_steps import EncoderSteps
from tangodistill.user_error import UserError

CLOSE = {"rtol": 0, "atol": 1e-5}
FAMILIES = ["bert", "roberta"]


@torch.no_grad()
def walk(model, **inputs):
    """Hidden states before and after every layer, and the logits."""
    steps = EncoderSteps(model)
    hidden, mask = steps.embed(**inputs)
    states = [hidden]
    for i in range(steps.layers):
        states.append(steps.layer(i, states[-1], mask))
    return states, steps.head(states[-1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("types", [True, False])
def test_every_step_equals_the_models_own(family, attention, types):
    model, inputs = tiny_classifier(family, attention=attention), ragged_batch(family, types=types)
    states, logits = walk(model, **inputs)
    with torch.no_grad():
        own = model(**inputs, output_hidden_states=True)
    assert len(states) == len(own.hidden_states) == 5
    tokens = inputs["attention_mask"].bool()
    for state, expected in zip(states, own.hidden_states, strict=True):
        torch.testing.assert_close(state[tokens], expected[tokens], **CLOSE)
    torch.testing.assert_close(logits, own.logits, **CLOSE)
    assert logits.std() > 0.1  # else the comparison would say little


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_mask_where_nothing_is_padded(family):
    model, inputs = tiny_classifier(family), ragged_batch(family, lengths=(6, 6))
    del inputs["attention_mask"]
    with torch.no_grad():
        own = model(**inputs).logits
    torch.testing.assert_close(walk(model, **inputs)[1], own, **CLOSE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@torch.no_grad()
def test_rows_may_be_dropped_on_the_way(family, attention):
    model, inputs = tiny_classifier(family, attention=attention), ragged_batch(family)
    steps, keep = EncoderSteps(model), torch.tensor([False, True, False, True, True])
    hidden, mask = steps.embed(**inputs)
    hidden = steps.layer(0, hidden, mask)[keep]
    for i in range(1, steps.layers):
        hidden = steps.layer(i, hidden, mask[keep])
    torch.testing.assert_close(steps.head(hidden), model(**inputs).logits[keep], **CLOSE)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_pooling_is_the_projection_in_front_of_the_classifier(family):
    model, inputs = tiny_classifier(family), ragged_batch(family)
    states, logits = walk(model, **inputs)
    pooled = torch.tanh(EncoderSteps(model).pooling(states[-1][:, 0]))
    last = model.classifier if family == "bert" else model.classifier.out_proj
    torch.testing.assert_close(last(pooled), logits, **CLOSE)


def test_other_architectures_are_refused():
    config = DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    message = "is a DistilBertForSequenceClassification; only BERT and RoBERTa sequence classifiers"
    with pytest.raises(UserError, match=message):
        EncoderSteps(DistilBertForSequenceClassification(config))

"""DeeBERT: its exits, its independence of the batch, and its life as a Hugging Face model."""

import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_classifiers import ragged_batch, tiny_classifier
from transformers import AutoConfig, AutoModelForSequenceClassification

from tangodistill.models import DeeBertConfig, DeeBertForSequenceClassification, deebert
from tangodistill.models.deebert import entropy
from tangodistill.models.positions import position_limit

CLOSE = {"rtol": 0, "atol": 1e-5}
FAMILIES = ["bert", "roberta"]


def build(family: str) -> DeeBertForSequenceClassification:
    model = DeeBertForSequenceClassification.from_classifier(tiny_classifier(family))
    with torch.no_grad():
        for i, off_ramp in enumerate(model.off_ramps):  # each its own answer, more or less sure
            off_ramp.classifier.weight.normal_(generator=torch.Generator().manual_seed(i)).mul_(1 + i)
    return model


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return build(request.param)


@pytest.fixture(scope="module")
def inputs(model):
    return ragged_batch(model.config.backbone["model_type"])


def row_alone(inputs, i):
    length = int(inputs["attention_mask"][i].sum())
    return {name: values[i : i + 1, :length] for name, values in inputs.items() if name != "attention_mask"}


def entropy_by_hand(logits):
    exponentials = [math.exp(value - max(logits)) for value in logits]
    shares = [value / sum(exponentials) for value in exponentials]
    return -sum(share * math.log(share) for share in shares if share > 0)


def exit_by_hand(all_logits, threshold):
    """Which exit an example takes, from its logits (exits, classes)."""
    for i, logits in enumerate(all_logits[:-1].tolist()):
        if entropy_by_hand(logits) < threshold:
            return i
    return len(all_logits) - 1


@torch.no_grad()
def test_the_last_exit_is_the_backbone_and_the_default_answer(model, inputs):
    family = model.config.backbone["model_type"]
    own = tiny_classifier(family)(**inputs).logits
    exits = model.all_exits(**inputs)
    assert exits.shape == (4, 5, 3) and len(model.off_ramps) == 3
    torch.testing.assert_close(exits[-1], own, **CLOSE)
    torch.testing.assert_close(model(**inputs).logits, own, **CLOSE)


@torch.no_grad()
def test_an_off_ramp_is_pooler_and_classifier_on_its_layers_first_token(model, inputs):
    states = model.backbone(**inputs, output_hidden_states=True).hidden_states
    for logits, state, ramp in zip(model.all_exits(**inputs), states[1:], model.off_ramps, strict=False):
        expected = ramp.classifier(torch.tanh(state[:, 0] @ ramp.dense.weight.T + ramp.dense.bias))
        torch.testing.assert_close(logits, expected, **CLOSE)


@pytest.mark.parametrize("family", FAMILIES)
def test_poolers_start_from_the_classifiers_own(family):
    classifier = tiny_classifier(family)
    dense = classifier.bert.pooler.dense if family == "bert" else classifier.classifier.dense
    for off_ramp in DeeBertForSequenceClassification.from_classifier(classifier).off_ramps:
        assert torch.equal(off_ramp.dense.weight, dense.weight) and torch.equal(off_ramp.dense.bias, dense.bias)
        assert off_ramp.classifier.weight.std() > 0 and off_ramp.classifier.bias.eq(0).all()


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3, 0.6, 0.9, 1.2])
@torch.no_grad()
def test_each_example_leaves_at_the_first_sure_exit(model, inputs, threshold):
    exits = model.all_exits(**inputs)
    expected = [exit_by_hand(exits[:, i], threshold) for i in range(5)]
    logits, taken = model.leave_early(**inputs, threshold=threshold)
    assert taken.tolist() == expected
    torch.testing.assert_close(logits, exits[expected, range(5)], **CLOSE)


@torch.no_grad()
def test_all_thresholds_together_use_every_exit(model, inputs):
    taken = {i for t in torch.linspace(0, 1.2, 60) for i in model.leave_early(**inputs, threshold=float(t))[1].tolist()}
    assert taken >= {0, 1, 3}


@pytest.mark.parametrize("threshold", [None, 0.3, 0.7])
@torch.no_grad()
def test_alone_and_in_a_batch_the_answer_is_the_same(model, inputs, threshold):
    model.config.entropy_threshold = threshold
    try:
        together = model(**inputs).logits
        for i in range(5):
            torch.testing.assert_close(model(**row_alone(inputs, i)).logits[0], together[i], **CLOSE)
    finally:
        model.config.entropy_threshold = None


@torch.no_grad()
def test_the_threshold_is_strict(model, inputs):
    one = row_alone(inputs, 1)
    first = float(entropy(model.all_exits(**one)[0])[0])
    assert model.leave_early(**one, threshold=first)[1].item() > 0
    assert model.leave_early(**one, threshold=float(np.nextafter(np.float32(first), 9)))[1].item() == 0


@torch.no_grad()
def test_the_layers_after_an_exit_are_not_run(model, inputs, monkeypatch):
    rows = []
    layer = model.steps.layer
    monkeypatch.setattr(
        model.steps, "layer", lambda i, hidden, mask: (rows.append(len(hidden)), layer(i, hidden, mask))[1]
    )
    _, taken = model.leave_early(**inputs, threshold=0.6)
    assert rows == [n for i in range(4) if (n := int((taken >= i).sum()))]
    rows.clear()
    model.leave_early(**inputs, threshold=2.0)
    assert rows == [5]


@torch.no_grad()
def test_watch_is_told_every_exit(model, inputs):
    seen = []
    logits, _ = model.leave_early(**inputs, threshold=0.0, watch=lambda *told: seen.append(told))
    torch.testing.assert_close(torch.stack([answers for answers, _ in seen]), model.all_exits(**inputs), **CLOSE)
    assert seen[-1][1] is None and all(torch.equal(entropy(answers), told) for answers, told in seen[:-1])


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=5))
def test_entropy_is_minus_sum_p_log_p(logits):
    assert entropy(torch.tensor(logits)).item() == pytest.approx(entropy_by_hand(logits), abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_entropy_of_extreme_logits_is_a_number(dtype):
    extreme = entropy(torch.tensor([[0.0, 60000.0], [-60000.0, 60000.0], [60000.0, 60000.0]], dtype=dtype))
    torch.testing.assert_close(extreme, torch.tensor([0.0, 0.0, math.log(2)]))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_auto_classes_load_what_was_saved(family, tmp_path):
    saved, inputs = build(family), ragged_batch(family)
    saved.config.entropy_threshold = 0.4
    saved.config.id2label = {0: "no", 1: "perhaps", 2: "yes"}
    saved.save_pretrained(tmp_path)
    loaded, loading = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(loaded, DeeBertForSequenceClassification) and not loaded.training
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.entropy_threshold, list(config.id2label.values())) == (0.4, ["no", "perhaps", "yes"])
    assert position_limit(loaded) == 16
    for given_inputs in (inputs, ragged_batch(family, types=False)):
        torch.testing.assert_close(loaded.all_exits(**given_inputs), saved.all_exits(**given_inputs), **CLOSE)
    torch.testing.assert_close(loaded(**inputs).logits, saved(**inputs).logits, **CLOSE)


def test_loss_is_cross_entropy(model, inputs):
    output = model(**inputs, labels=torch.tensor([0, 1, 2, 0, 1]))
    expected = -output.logits.log_softmax(1)[range(5), [0, 1, 2, 0, 1]].mean()
    torch.testing.assert_close(output.loss, expected)


def test_a_config_of_its_own_is_a_bert():
    assert DeeBertConfig().backbone_config().model_type == "bert"


def test_doctests():
    assert doctest.testmod(deebert).failed == 0

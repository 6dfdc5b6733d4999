"""Some layers of a model: the same answers as those layers stacked by hand, and what can't be cut."""

import doctest

import pytest
import torch
from safetensors.torch import load_file
from tiny_classifiers import WORDS, ragged_batch, tiny_classifier
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from tangodistill.models import layers as module
from tangodistill.models.encoder_steps import EncoderSteps
from tangodistill.models.layers import keep_layers, layer_list
from tangodistill.user_error import UserError

COMMON = {"vocab_size": WORDS, "hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 3}
OTHERS = {
    "distilbert": {"dim": 24, "n_heads": 2, "hidden_dim": 32},
    "mpnet": {"pad_token_id": 1},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": {"pad_token_id": 0, "global_attn_every_n_layers": 2, "local_attention": 4},
    "albert": {"embedding_size": 8},
    "xlm": {"emb_dim": 24, "n_heads": 2},
}


def other_classifier(kind, layers=4):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **COMMON, **OTHERS[kind], num_hidden_layers=layers)
    return AutoModelForSequenceClassification.from_config(config).eval()


@torch.inference_mode()
def logits(model, batch):
    return model.eval()(**batch).logits


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("layers", [[1, 2, 3, 4], [2, 4], [3]])
def test_it_answers_as_its_layers_stacked_by_hand(family, layers):
    model, batch = tiny_classifier(family), ragged_batch(family)
    steps = EncoderSteps(model)
    with torch.inference_mode():
        hidden, mask = steps.embed(**batch)
        for layer in layers:
            hidden = steps.layer(layer - 1, hidden, mask)
        expected = steps.head(hidden)
    torch.testing.assert_close(logits(keep_layers(model, layers), batch), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["distilbert", "mpnet", "deberta-v2", "modernbert"])
def test_any_architecture_with_a_list_of_layers_can_be_cut(kind):
    model, batch = other_classifier(kind), ragged_batch("bert", types=False)
    shallow = keep_layers(model, [1, 4])
    path, _, name = layer_list(model).rpartition(".")
    parent = model.get_submodule(path)
    setattr(parent, name, nn.ModuleList([getattr(parent, name)[i] for i in (0, 3)]))
    torch.testing.assert_close(logits(shallow, batch), logits(model, batch), atol=1e-6, rtol=1e-6)


def test_the_folder_holds_what_is_kept_and_no_more(tmp_path):
    model, batch = tiny_classifier("bert"), ragged_batch("bert")
    shallow = keep_layers(model, [2, 4])
    shallow.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert again.config.num_hidden_layers == 2 and model.config.num_hidden_layers == 4
    saved = load_file(tmp_path / "model.safetensors")
    assert {name.split(".")[3] for name in saved if ".layer." in name} == {"0", "1"}
    torch.testing.assert_close(logits(again, batch), logits(shallow, batch))


@pytest.mark.parametrize(
    ("layers", "example"),
    [
        ([2, 2], [2, 4]),
        ([3, 1], [2, 4]),
        ([0, 2], [2, 4]),
        ([4, 5], [2, 4]),
        ([], [4]),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4]),
    ],
)
def test_layers_that_are_not_there_or_not_in_order(layers, example):
    with pytest.raises(UserError) as error:
        keep_layers(tiny_classifier("bert"), layers)
    assert str(error.value) == (
        f"model.layers is {layers}; it must rise, within the model's layers 1 to 4, for instance {example}."
    )


@pytest.mark.parametrize("kind", ["albert", "xlm"])
def test_layers_that_cannot_be_told_from_the_rest(kind):
    model = other_classifier(kind)
    model.name_or_path = "tiny"
    with pytest.raises(UserError) as error:
        keep_layers(model, [1])
    assert str(error.value) == (
        f"tiny: which of its parts are a {kind} model's layers can't be told, so none of them can be left out. Train "
        "it whole (without model.layers), or take an architecture such as BERT, RoBERTa, DistilBERT or DeBERTa."
    )


def test_a_layer_that_cannot_stand_in_anothers_place():
    """ModernBERT's first layer lacks a norm that the others have."""
    model = other_classifier("modernbert")
    model.name_or_path = "tiny"
    with pytest.raises(UserError) as error:
        keep_layers(model, [2, 4])
    assert str(error.value) == (
        "tiny: the layers of a modernbert model are not alike, and [2, 4] don't fit where its first 2 stand. Keep "
        "layer 1 (model.layers), or train the model whole."
    )


def test_doctests():
    assert doctest.testmod(module).failed == 0

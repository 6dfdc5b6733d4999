"""Weights that are not those of config.json, and checkpoints that hold something else than a classifier."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from separable import write_encoder
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from tangodistill.engines.tier_folder import load_tier
from tangodistill.models.load import load_classifier
from tangodistill.user_error import UserError


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = write_encoder(tmp_path_factory.mktemp("classifier"))
    AutoModelForSequenceClassification.from_pretrained(folder, id2label={0: "cold", 1: "warm"}).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(classifier, tmp_path):
    return shutil.copytree(classifier, tmp_path / "model")


def configure(folder, **keys):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})


def refused(folder) -> str:
    """The same message for a teacher and for a tier."""
    with pytest.raises(UserError) as error:
        load_classifier(str(folder), ["cold", "warm"])
    with pytest.raises(UserError) as tier_error:
        load_tier(folder)
    assert str(tier_error.value) == str(error.value)
    return str(error.value)


def test_a_head_of_another_size(folder):
    configure(folder, id2label={0: "cold", 1: "warm", 2: "wet"}, label2id={"cold": 0, "warm": 1, "wet": 2})
    message = refused(folder)
    assert message.startswith(f"{folder}: config.json names 3 labels, but the weights have 2 (classifier.")
    assert message.endswith("). Correct id2label in config.json, or save the model again.")


def test_embeddings_of_another_size(folder):
    configure(folder, vocab_size=30)
    message = refused(folder)
    assert message.startswith(f"{folder}: bert.embeddings.word_embeddings.weight is (")
    assert message.endswith("but config.json asks for (30, 32). Both must be of one model: save it again.")


def test_layers_that_the_weights_lack(folder):
    configure(folder, num_hidden_layers=3)
    message = refused(folder)
    assert message.startswith(f"{folder}: the weights lack bert.encoder.layer.2.")
    assert message.endswith("..., which config.json asks for. Save the model again.")


def test_layers_that_the_config_lacks(folder):
    configure(folder, num_hidden_layers=1)
    assert "the weights hold bert.encoder.layer.1." in refused(folder)


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "8 bits (bitsandbytes)"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "4 bits (bitsandbytes)"),
        ({"quant_method": "gptq", "bits": 4}, "4 bits (gptq)"),
        ({"quant_method": "awq", "bits": 4}, "4 bits (awq)"),
        ({"quant_method": "fp8"}, "a quantised form (fp8)"),
    ],
)
def test_a_quantised_model(folder, settings, how):
    configure(folder, quantization_config=settings)
    assert refused(folder) == (
        f"{folder} is stored in {how}, which can't be loaded here, nor trained. Give the model as it was before it was "
        "quantised: tangodistill makes int8 formats itself (verb export)."
    )


def test_quantised_weights_that_the_config_does_not_tell_of(folder):
    change_weights(folder, lambda weights: {k: v.to(torch.int8) if v.ndim > 1 else v for k, v in weights.items()})
    assert f"{folder} is stored in a quantised form (" in refused(folder) and " is I8)" in refused(folder)


def test_a_head_that_labels_tokens(folder):
    AutoModelForTokenClassification.from_pretrained(folder).save_pretrained(folder)
    assert refused(folder).startswith(f"{folder} holds a BertForTokenClassification, which labels tokens. A tier is a")


def test_a_head_of_any_number_of_labels(folder):
    configure(folder, problem_type="multi_label_classification")
    assert "gives any number of labels to a text" in refused(folder)


def test_an_adapter_without_its_model(folder):
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    assert "holds an adapter (PEFT) without the model that it belongs to. Merge the two" in refused(folder)


def test_a_config_that_does_not_say_what_it_is_of(folder):
    """The labels of a head that is there are its own; the data's are those of a new one only."""
    configure(folder, architectures=None)
    model, new_head = load_classifier(str(folder), ["warm", "cold"])
    assert not new_head and model.config.id2label == {0: "cold", 1: "warm"}
    change_weights(folder, lambda weights: {k: v for k, v in weights.items() if not k.startswith("classifier.")})
    model, new_head = load_classifier(str(folder), ["warm", "cold", "wet"])
    assert new_head and model.config.id2label == {0: "warm", 1: "cold", 2: "wet"}

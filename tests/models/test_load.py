"""Any sequence classifier, and every way in which a folder is none, told in one message."""

import shutil

import pytest
import torch
from separable import write_encoder
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from tangodistill.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification
from tangodistill.models.load import is_classifier, load_classifier, load_config, with_head_for
from tangodistill.models.positions import position_limit
from tangodistill.user_error import UserError

WHAT_TO_DO = "Give a folder with config.json and model.safetensors, or a hub name while the hub can be reached."


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def copy(encoder, tmp_path):
    return shutil.copytree(encoder, tmp_path / "model")


def error_of(name) -> str:
    with pytest.raises(UserError) as error:
        load_classifier(str(name))
    return str(error.value)


def test_an_encoder_gets_a_new_head_and_a_classifier_keeps_its_own(encoder, tmp_path):
    model, new_head = load_classifier(str(encoder), ["no", "maybe", "yes"])
    assert new_head and model.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert not is_classifier(load_config(str(encoder)))
    model.save_pretrained(tmp_path)
    again, new_head = load_classifier(str(tmp_path), ["a", "b", "c"])
    assert not new_head and again.config.id2label == model.config.id2label
    assert is_classifier(load_config(str(tmp_path)))


def test_a_head_for_other_labels_gives_way_and_the_encoder_stays(encoder):
    model, _ = load_classifier(str(encoder), ["no", "yes"])
    model.config.problem_type = "regression"
    assert with_head_for(model, ["yes", "no"]) == (model, False)
    for names in (["bad", "good"], ["bad", "fine", "good"]):
        other, new_head = with_head_for(model, names)
        assert new_head and list(other.config.id2label.values()) == names and other.config.problem_type is None
        assert other.classifier.out_features == len(names)
        weights = other.state_dict()
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, weights[name]) or not name.startswith("bert."), name
        assert not torch.equal(weights["classifier.weight"][:2], model.classifier.weight)
    assert model.config.id2label == {0: "no", 1: "yes"}
    bilstm = BiLSTMForSequenceClassification(BiLSTMConfig(vocab_size=9))
    assert with_head_for(bilstm, ["bad", "good"]) == (bilstm, False)


def test_positions_a_model_has():
    sizes = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    assert position_limit(BertModel(BertConfig(max_position_embeddings=64, **sizes))) == 64
    assert position_limit(RobertaModel(RobertaConfig(max_position_embeddings=66, **sizes))) == 64
    assert position_limit(BiLSTMForSequenceClassification(BiLSTMConfig(vocab_size=9))) is None


@pytest.mark.parametrize("left", [0, 4, 5_000])
def test_truncated_weights(copy, left):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:left])
    message = error_of(copy)
    assert message.startswith(f"{weights} is cut off or damaged (Error while deserializing header: ")
    assert message.endswith("). Copy the file again.")


def test_corrupt_config(copy):
    (copy / "config.json").write_text('{"model_type": ')
    assert error_of(copy) == (
        f"no sequence classifier could be loaded from '{copy}': "
        f"It looks like the config file at '{copy / 'config.json'}' is not a valid JSON file. {WHAT_TO_DO}"
    )


def test_no_weights(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"")
    assert error_of(copy) == (
        f"{copy / 'model.safetensors'} is missing (found pytorch_model.bin). Only safetensors are read; convert other "
        "weights with model.save_pretrained(folder) where they are trusted."
    )


@pytest.mark.parametrize("name", ["runs/no-such-run/teacher", "./teacher", "/nowhere/teacher"])
def test_a_folder_that_is_not_there(name):
    assert error_of(name) == (
        f"no sequence classifier could be loaded from '{name}': no such folder, and no name that the hub could have. "
        f"{WHAT_TO_DO}"
    )


def test_a_hub_that_cannot_be_reached():
    message = error_of("someone/some-model")
    assert "couldn't find them in the cached files" in message and message.endswith(WHAT_TO_DO)

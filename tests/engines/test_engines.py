import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLNetConfig,
    XLNetForSequenceClassification,
)

from tangodistill.engines.engine import label_columns
from tangodistill.engines.torch_engine import NO_LIMIT, TorchEngine
from tangodistill.user_error import UserError

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module", params=["bert", "bilstm"])
def folder(request, bert_folder, bilstm_folder):
    return {"bert": bert_folder, "bilstm": bilstm_folder}[request.param]


@pytest.fixture(scope="module")
def engine(folder):
    return TorchEngine.load(folder, max_length=20)


def own_forward(folder, texts, pairs=None, max_length=20):
    """Logits by transformers alone, everything in one padded batch."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(texts, pairs, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits.numpy()


def test_logits_are_the_models_own(folder, engine, texts):
    np.testing.assert_allclose(engine.outputs(texts, batch_size=7), own_forward(folder, texts), **CLOSE)


def test_logits_of_pairs_are_the_models_own(folder, engine, texts):
    pairs = texts[::-1]
    expected = own_forward(folder, texts, pairs)
    np.testing.assert_allclose(engine.outputs(texts, pairs, batch_size=7), expected, **CLOSE)
    np.testing.assert_allclose(engine.outputs(texts, pairs), expected, **CLOSE)


@pytest.mark.parametrize("batch_size", [2, 3, 16, 64])
@pytest.mark.parametrize("pad_to_max", [False, True])
def test_no_batch_and_no_padding_changes_an_answer(engine, texts, batch_size, pad_to_max):
    alone = np.concatenate([engine.outputs([text]) for text in texts])
    np.testing.assert_allclose(engine.outputs(texts, None, batch_size, pad_to_max), alone, **CLOSE)


def test_padding_to_the_maximum_holds_at_batch_1(bert_folder, texts, monkeypatch):
    engine, widths = TorchEngine.load(bert_folder, max_length=20), []
    forward = engine._forward
    monkeypatch.setattr(
        engine, "_forward", lambda inputs: (widths.append(inputs["input_ids"].shape[1]), forward(inputs))[1]
    )
    padded = engine.outputs(texts, pad_to_max=True)
    assert set(widths) == {20}
    np.testing.assert_allclose(padded, engine.outputs(texts), **CLOSE)


@pytest.mark.parametrize("pad_to_max", [False, True])
def test_bilstm_batches_hold_one_length_and_nothing_padded(bilstm_folder, texts, monkeypatch, pad_to_max):
    engine = TorchEngine.load(bilstm_folder, max_length=20)
    seen = []
    forward = engine._forward
    monkeypatch.setattr(
        engine, "_forward", lambda inputs: (seen.append(bool(inputs["attention_mask"].all())), forward(inputs))[1]
    )
    rows = [row for rows, _ in engine.batches(texts, None, 8, pad_to_max) for row in rows]
    assert sorted(rows) == list(range(len(texts)))
    assert all(seen)


def test_lengths_are_what_the_model_gets(bert_folder):
    engine = TorchEngine.load(bert_folder, max_length=6)
    assert engine.lengths(["", "good", "good film " * 9]).tolist() == [2, 3, 6]
    assert engine.lengths(["good"], ["film"]).tolist() == [5]


def test_no_texts_give_no_logits(engine):
    assert engine.outputs([], batch_size=8).shape == (0, 2)
    assert engine.outputs([]).shape == (0, 2)


def test_describes_itself(bert_folder, bilstm_folder):
    bert, bilstm = TorchEngine.load(bert_folder), TorchEngine.load(bilstm_folder)
    assert (bert.name, bert.precision, bert.label_names) == ("torch", "fp32", ("negative", "positive"))
    assert (bert.facts.exact_length, bilstm.facts.exact_length) == (False, True)
    assert bert.facts.parameters == sum(p.numel() for p in bert.model.parameters())
    assert not bert.model.training and bert.model.dtype == torch.float32


def test_length_is_capped_by_model_and_tokenizer(bert_folder, bilstm_folder):
    assert TorchEngine.load(bert_folder).max_length == 24  # positions; the tokenizer names no limit
    assert TorchEngine.load(bert_folder, max_length=100).max_length == 24
    assert TorchEngine.load(bilstm_folder, max_length=100).max_length == 32  # the tokenizer's
    assert TorchEngine.load(bilstm_folder, max_length=10).max_length == 10


def test_roberta_has_two_positions_fewer(bert_folder, texts):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=32, max_position_embeddings=18, pad_token_id=1, type_vocab_size=2, **sizes)
    engine = TorchEngine(RobertaForSequenceClassification(config).eval(), AutoTokenizer.from_pretrained(bert_folder))
    assert engine.max_length == 16
    assert np.isfinite(engine.outputs(texts, batch_size=4)).all()


def test_a_model_without_positions_has_no_limit(bert_folder, texts):
    config = XLNetConfig(vocab_size=32, d_model=16, n_layer=1, n_head=2, d_inner=16)
    engine = TorchEngine(XLNetForSequenceClassification(config).eval(), AutoTokenizer.from_pretrained(bert_folder))
    assert engine.max_length == NO_LIMIT
    assert np.isfinite(engine.outputs(texts, batch_size=4)).all()


def test_threads_hold_while_the_engine_runs(bilstm_folder):
    before = torch.get_num_threads()
    try:
        TorchEngine.load(bilstm_folder, threads=1).outputs(["good"])
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_no_more_threads_than_the_process_may_use(bilstm_folder, monkeypatch):
    """Tuned on a larger machine, or outside of the container."""
    monkeypatch.setattr("tangodistill.engines.engine.available_cores", lambda: 2)
    wide, narrow = (TorchEngine.load(bilstm_folder, threads=threads) for threads in (64, 1))
    assert (wide.threads, wide.passes_at_once) == (2, 1) and (narrow.threads, narrow.passes_at_once) == (1, 2)


def test_labels_are_found_by_name(bert_folder):
    engine = TorchEngine.load(bert_folder)
    assert label_columns(engine, ("positive", "negative")).tolist() == [1, 0]
    with pytest.raises(UserError) as caught:
        label_columns(engine, ("entailment", "not_entailment"))
    assert "negative, positive" in str(caught.value) and "entailment, not_entailment" in str(caught.value)


@pytest.fixture
def broken(bert_folder, tmp_path):
    return shutil.copytree(bert_folder, tmp_path / "tier")


def refused(folder):
    with pytest.raises(UserError) as caught:
        TorchEngine.load(folder)
    return str(caught.value)


def test_refuses_a_folder_that_is_none(tmp_path):
    folder = tmp_path / "nowhere"
    expected = f"{folder} is no folder. A tier is a folder with config.json, model.safetensors and tokenizer.json."
    assert refused(folder) == expected


def test_refuses_truncated_weights(broken):
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert refused(broken).startswith(f"{weights} is cut off or damaged (")


def test_refuses_pickled_weights(broken):
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    assert "model.safetensors is missing (found pytorch_model.bin). Only safetensors are read" in refused(broken)


@pytest.mark.parametrize("text", ["{", "\x00", ""])
def test_refuses_a_corrupt_config(broken, text):
    (broken / "config.json").write_text(text)
    assert refused(broken).startswith(f"{broken / 'config.json'} is not valid JSON (")


def test_refuses_an_unknown_model_type(broken):
    (broken / "config.json").write_text('{"model_type": "no-such-model"}')
    assert refused(broken).startswith(f"{broken} holds no usable sequence classifier: ")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_refuses_a_missing_file(broken, name):
    (broken / name).unlink()
    assert refused(broken).startswith(f"{broken / name} is missing.")


def test_refuses_a_corrupt_tokenizer(broken):
    (broken / "tokenizer.json").write_text("{")
    assert str(broken) in refused(broken) and "tokenizer" in refused(broken)


def test_refuses_an_encoder_without_a_trained_head(broken):
    AutoModelForSequenceClassification.from_pretrained(broken).base_model.save_pretrained(broken)
    assert "the weights lack classifier.bias, classifier.weight" in refused(broken)


def test_refuses_weights_of_other_shapes(broken):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    message = refused(broken)
    assert message.startswith(f"{broken}: bert.") and "in the weights, but config.json asks for (" in message

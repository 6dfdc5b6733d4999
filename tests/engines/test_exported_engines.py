"""Every engine against PyTorch, on tiny tiers that were exported for it."""

import numpy as np
import pytest
from exported_tier import exported

from tangodistill.engines.exported import GRAPH_OF, TOKENIZER
from tangodistill.engines.loading import load_engine
from tangodistill.engines.tier_record import GRAPHS
from tangodistill.user_error import UserError

FP32 = [("onnxruntime", "fp32"), ("openvino", "fp32")]
BF16 = [("torch", "bf16"), ("openvino", "bf16")]
INT8 = [("onnxruntime", "int8"), ("onnxruntime", "int8_static"), ("openvino", "int8_static")]


@pytest.fixture(scope="module")
def tiers(bert_folder, bilstm_folder, texts, tmp_path_factory):
    """Name -> folder of the model, folder of the graphs."""
    return {
        "bert": (bert_folder, exported(bert_folder, tmp_path_factory.mktemp("bert_graphs"), texts, quantise=True)),
        "bilstm": (
            bilstm_folder,
            exported(bilstm_folder, tmp_path_factory.mktemp("bilstm_graphs"), texts, quantise=False),
        ),
    }


def load(tiers, tier, name, precision, **settings):
    model, graphs = tiers[tier]
    return load_engine(model if name == "torch" else graphs, name, precision, **settings)


@pytest.mark.parametrize("tier", ["bert", "bilstm"])
@pytest.mark.parametrize(
    ("name", "precision", "tolerance"), [(*key, 1e-5) for key in FP32] + [(*key, 0.2) for key in BF16]
)
def test_logits_are_pytorchs(tiers, texts, tier, name, precision, tolerance):
    engine, reference = load(tiers, tier, name, precision), load(tiers, tier, "torch", "fp32")
    expected = reference.outputs(texts)
    np.testing.assert_allclose(engine.outputs(texts, batch_size=7), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(engine.outputs(texts), expected, rtol=0, atol=tolerance)
    assert (engine.label_names, engine.max_length) == (reference.label_names, reference.max_length)


@pytest.mark.parametrize(("name", "precision"), FP32)
def test_pairs(tiers, texts, name, precision):
    pairs = texts[::-1]
    expected = load(tiers, "bert", "torch", "fp32").outputs(texts, pairs)
    engine = load(tiers, "bert", name, precision)
    np.testing.assert_allclose(engine.outputs(texts, pairs, batch_size=7), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tier", ["bert", "bilstm"])
@pytest.mark.parametrize(("name", "precision"), FP32)
@pytest.mark.parametrize("batch_size", [2, 16, 64])
def test_no_batch_changes_an_answer(tiers, texts, tier, name, precision, batch_size):
    engine = load(tiers, tier, name, precision)
    np.testing.assert_allclose(engine.outputs(texts, batch_size=batch_size), engine.outputs(texts), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "precision"), [key for key in INT8 if key[1] == "int8_static"])
def test_static_int8_answers_alike_in_every_batch(tiers, texts, name, precision):
    engine = load(tiers, "bert", name, precision)
    np.testing.assert_allclose(engine.outputs(texts, batch_size=16), engine.outputs(texts), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "precision"), INT8)
def test_int8_stays_close(tiers, texts, name, precision):
    expected = load(tiers, "bert", "torch", "fp32").outputs(texts)
    got = load(tiers, "bert", name, precision).outputs(texts, batch_size=8)
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(("name", "precision"), [("torch", "fp32"), *FP32])
def test_passes_side_by_side_give_the_same(tiers, texts, monkeypatch, name, precision):
    expected = load(tiers, "bert", name, precision).outputs(texts, batch_size=3)
    monkeypatch.setattr("tangodistill.engines.engine.available_cores", lambda: 3)
    engine = load(tiers, "bert", name, precision, threads=1)
    assert engine.passes_at_once == 3
    np.testing.assert_allclose(engine.outputs(texts, batch_size=3), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "precision"), FP32)
def test_a_shorter_limit_holds(tiers, texts, name, precision):
    expected = load(tiers, "bert", "torch", "fp32", max_length=6).outputs(texts)
    np.testing.assert_allclose(load(tiers, "bert", name, precision, max_length=6).outputs(texts), expected, atol=1e-5)


def test_what_was_not_exported_is_named(tiers, bert_folder):
    with pytest.raises(UserError) as caught:
        load(tiers, "bilstm", "onnxruntime", "int8")
    graph = tiers["bilstm"][1] / GRAPHS / GRAPH_OF["int8"]
    expected = f"{graph} is missing (exported here: fp32). Write it with `python -m tangodistill export`."
    assert str(caught.value) == expected
    with pytest.raises(UserError, match="exported here: none"):
        load_engine(bert_folder, "openvino", "fp32")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("file", ["fp32.onnx", "tier.json", TOKENIZER])
def test_a_damaged_file_is_named(tiers, tmp_path, name, file):
    for path in (tiers["bert"][1] / GRAPHS).iterdir():
        (tmp_path / GRAPHS).mkdir(exist_ok=True)
        (tmp_path / GRAPHS / path.name).write_bytes(path.read_bytes())
    (tmp_path / GRAPHS / file).write_bytes(b"{")
    with pytest.raises(UserError, match="cannot be read .*Run `python -m tangodistill export` again") as caught:
        load_engine(tmp_path, name, "fp32")
    assert str(caught.value).startswith(str(tmp_path / GRAPHS / file))

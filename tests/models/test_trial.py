"""Any architecture is served alike in every batch, or refused with its reason before anything is trained."""

import json

import numpy as np
import pytest
import torch
import transformers
from separable import write_encoder
from transformers import AutoTokenizer

from tangodistill.data.tokenize import load_tokenizer
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.models.load import load_classifier
from tangodistill.models.pairing import pair_up
from tangodistill.models.trial import bears_bfloat16, try_out
from tangodistill.user_error import UserError

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
T5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}
TEXTS = ["", "a lovely film", "[SEP] the plot [PAD] was [MASK] dull", "the cast is very fine and truly great " * 3]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def model(tokenizer, tmp_path):
    """Writes a tiny random classifier of a family, and the tokenizer with what is said otherwise of it."""

    def write(family: str, sizes: dict, head: str = "ForSequenceClassification", **tokens):
        own = AutoTokenizer.from_pretrained(tokenizer)
        for name, value in tokens.items():
            setattr(own, name, value)
        own.save_pretrained(tmp_path)
        torch.manual_seed(0)
        config = getattr(transformers, f"{family}Config")(
            vocab_size=len(own), eos_token_id=own.sep_token_id, **{"pad_token_id": 0, **sizes}
        )
        made = getattr(transformers, f"{family}{head}")(config)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        made.save_pretrained(tmp_path)
        return tmp_path

    return write


def tried(folder) -> None:
    made, _ = load_classifier(str(folder))
    own = load_tokenizer(folder)
    pair_up(made, own)
    try_out(made, own, 32)


def refused(folder) -> str:
    with pytest.raises(UserError) as error:
        tried(folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("family", "sizes", "side", "served"),
    [
        ("DistilBert", {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}, "right", "right"),
        (
            "DebertaV2",
            {**SIZES, "relative_attention": True, "position_buckets": 8, "type_vocab_size": 0},
            "right",
            "right",
        ),
        ("XLNet", XLNET, "left", "left"),
        ("XLNet", XLNET, "right", "left"),  # the summary is read off the last token
        ("GPT2", GPT2, "right", "right"),
        ("GPT2", GPT2, "left", "right"),  # positions are counted from the padding
        ("GPT2", {**GPT2, "pad_token_id": None}, "right", "right"),  # known to the tokenizer alone
        ("T5", T5, "right", "right"),
        ("ModernBert", {**SIZES, "global_attn_every_n_layers": 2, "local_attention": 8}, "right", "right"),
    ],
)
def test_an_answer_does_not_depend_on_its_batch(model, family, sizes, side, served):
    engine = TorchEngine.load(model(family, sizes, padding_side=side), max_length=32)
    alone, together = (engine.outputs(TEXTS, batch_size=size) for size in (1, len(TEXTS)))
    np.testing.assert_allclose(alone, together, atol=1e-5)
    assert engine.facts.padding_side == served and np.ptp(alone, axis=0).max() > 1e-3


def test_a_model_that_reads_its_padding_is_refused(model):
    sizes = {name: size for name, size in SIZES.items() if "attention" not in name}
    message = refused(model("FNet", sizes))
    assert "a fnet model gives a text another answer beside a longer one than alone (by " in message
    assert message.endswith(
        "so no threshold would hold. Take an architecture that leaves its padding out, such as BERT, RoBERTa, "
        "DistilBERT or DeBERTa."
    )


def test_a_model_that_fails_on_a_short_text_is_refused(model):
    sizes = {"block_sizes": [1, 1], "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64, "num_decoder_layers": 1}
    assert "can't answer 1 text of" in refused(model("Funnel", sizes))


def test_a_model_that_answers_no_numbers_is_refused(model):
    folder = model("Bert", SIZES)
    made, _ = load_classifier(str(folder))
    made.classifier.bias.data.fill_(torch.nan)
    made.save_pretrained(folder)
    assert refused(folder).endswith("with NaN or infinity. Take another model.")


def test_token_types_are_kept_from_a_model_without_any(model):
    folder = model("DistilBert", {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64})
    names = json.loads((folder / "tokenizer_config.json").read_text())["model_input_names"]
    assert "token_type_ids" in names and not TorchEngine.load(folder, max_length=32).encoder.with_type_ids


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(model):
    folder = model("Bert", SIZES)
    own = AutoTokenizer.from_pretrained(folder)
    rows = len(own)
    own.add_tokens(["<pad>"])
    own.save_pretrained(folder)
    message = refused(folder)
    assert (
        f"gives ids up to {rows} ('<pad>'), but the model has embeddings for {rows} tokens, 0 to {rows - 1}." in message
    )


def test_a_folder_without_a_tokenizer_is_refused(model):
    folder = model("Bert", SIZES)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "its tokenizer knows no word. Put the tokenizer's files" in refused(folder)


def test_what_bfloat16_is_too_small_for_is_noticed(model):
    folder = model(
        "Deberta", {**SIZES, "relative_attention": True, "type_vocab_size": 0, "pos_att_type": ["p2c", "c2p"]}
    )
    made, _ = load_classifier(str(folder))
    assert not bears_bfloat16(made, load_tokenizer(folder))
    tried(folder)

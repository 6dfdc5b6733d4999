"""Language models of the task's text: what they learn, how it is scored, and what they leave."""

import json
import math

import lightning as L
import numpy as np
import pytest
import torch
from quiet_trainer import trainer
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from tangodistill.data.language_text import CONDITIONING, PREFIXES
from tangodistill.data.splits import load_roles
from tangodistill.data.tokenize import TextEncoder
from tangodistill.modules.language_model import (
    LanguageModelData,
    LanguageModelModule,
    byte_level_tokenizer,
    small_gpt2,
    split_encoded,
)
from tangodistill.modules.masked_language_model import MaskedLanguageModelModule
from tangodistill.user_error import UserError

SMALL = {"layers": 1, "width": 64, "vocabulary": 300, "lr": 5e-3}


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm")
    L.seed_everything(0)
    module = LanguageModelModule(conditioning="label", **SMALL)
    trainer(folder, max_epochs=3).fit(module, LanguageModelData(dataset, batch_size=16))
    return folder


def test_the_folder_holds_a_causal_model_and_how_its_texts_begin(trained, dataset):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(trained), AutoTokenizer.from_pretrained(trained)
    assert len(tokenizer) == model.config.vocab_size and tokenizer.eos_token == "<|endoftext|>"
    labels = np.array(load_roles(dataset).train["label"][:])
    assert getattr(model.config, CONDITIONING) == "label"
    assert getattr(model.config, PREFIXES) == {
        "negative\t": int((labels == 0).sum()), "positive\t": int((labels == 1).sum())
    }  # fmt: skip


def test_bits_per_character_are_counted_as_by_hand(trained, dataset):
    kept = json.loads((trained / "metrics.json").read_text())
    model, tokenizer = AutoModelForCausalLM.from_pretrained(trained), AutoTokenizer.from_pretrained(trained)
    rows, nats, characters = load_roles(dataset).selection, 0.0, 0
    for text, label in zip(rows["text"], rows["label"], strict=True):
        ids = torch.tensor([tokenizer(f"{('negative', 'positive')[label]}\t{text}<|endoftext|>")["input_ids"]])
        with torch.inference_mode():
            nats += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
        characters += len(text)
    assert kept["bits_per_character"] == pytest.approx(nats / math.log(2) / characters, rel=0.02)  # bf16 where there is
    assert kept["bits_per_character"] < 2  # a coin over 300 tokens takes more than 3


def test_parts_that_are_encoded_alone_spell_the_text():
    texts = ["the film is good", "a dull plot", "x"]
    tokenizer = byte_level_tokenizer(texts, 300)
    encoder = TextEncoder.of(tokenizer, 128)
    found = split_encoded(encoder, texts, seed=0)
    ids = [found.ids[start:stop] for start, stop in zip(found.offsets[:-1], found.offsets[1:], strict=True)]
    assert tokenizer.batch_decode(ids) == texts
    assert len(found.ids) > len(encoder.encode(texts).ids)


def test_a_model_of_a_folder_is_trained_on(trained, dataset, tmp_path):
    module = LanguageModelModule(str(trained), split_encoding=True, lr=1e-4)
    trainer(tmp_path, max_epochs=1).fit(module, LanguageModelData(dataset, batch_size=16))
    assert getattr(AutoModelForCausalLM.from_pretrained(tmp_path).config, PREFIXES) is None


def test_a_width_that_makes_no_heads_is_refused():
    with pytest.raises(UserError, match="model.width is 100: it must be a multiple of 64."):
        small_gpt2(300, 1, 100, 0)


def test_a_model_out_of_reach_says_what_to_give(dataset, tmp_path):
    module = LanguageModelModule("gpt2")
    with pytest.raises(UserError, match="no causal language model could be loaded from 'gpt2': .*Give a folder"):
        trainer(tmp_path, max_epochs=1).fit(module, LanguageModelData(dataset))


def test_an_encoder_gets_a_head_that_learns_the_texts(inputs, dataset, tmp_path):
    L.seed_everything(0)
    data = LanguageModelData(dataset, batch_size=16)
    (before,) = trainer(tmp_path).validate(MaskedLanguageModelModule(str(inputs / "encoder")), data, verbose=False)
    trainer(tmp_path, max_epochs=15).fit(MaskedLanguageModelModule(str(inputs / "encoder"), lr=5e-3), data)
    kept = json.loads((tmp_path / "metrics.json").read_text())
    assert kept["accuracy"] > before["val/accuracy"] + 0.03
    AutoModelForMaskedLM.from_pretrained(tmp_path)


def test_what_is_asked_for_is_15_percent_and_never_a_special_token(inputs, dataset, tmp_path):
    module = MaskedLanguageModelModule(str(inputs / "encoder"))
    module.setup("fit")
    ids = torch.randint(5, len(module.tokenizer), (200, 100))
    ids[:, 0], ids[:, 90:] = module.tokenizer.cls_token_id, module.tokenizer.pad_token_id
    masked = module._masked({"input_ids": ids}, torch.Generator().manual_seed(0))
    asked, special = masked["asked"], torch.isin(ids, torch.tensor(module.tokenizer.all_special_ids))
    assert not (asked & special).any() and torch.equal(masked["input_ids"][~asked], ids[~asked])
    assert float(asked.sum() / (~special).sum()) == pytest.approx(0.15, abs=0.01)
    hidden = masked["input_ids"][asked] == module.tokenizer.mask_token_id
    assert float(hidden.float().mean()) == pytest.approx(0.8, abs=0.03)
    assert torch.equal(masked["answers"], ids[asked])

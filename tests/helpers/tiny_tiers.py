"""Tiny tier folders with random weights: a BERT and a BiLSTM, and a cascade of the two."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from tangodistill.engines.tier_record import TierRecord
from tangodistill.models import BiLSTMConfig, BiLSTMForSequenceClassification
from tangodistill.predictor.cascade_folder import CascadeRecord, OperatingPoint, write_cascade

WORDS = "the a film is good bad dull bright not very plot , . un ##watch ##able ##ly".split()
NAMES = ("negative", "positive")


def label_maps(names):
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def make_bert(folder, names=NAMES):
    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=24, initializer_range=0.5, **sizes, **label_maps(names)
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def make_bilstm(folder, names=NAMES):
    torch.manual_seed(1)
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B [SEP]", special_tokens=[("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=32,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    config = BiLSTMConfig(vocab_size=len(vocabulary), embedding_size=8, hidden_size=8, ffn_size=8, **label_maps(names))
    model = BiLSTMForSequenceClassification(config)
    with torch.no_grad():  # spreads the confidences
        for parameter in model.parameters():
            parameter *= 3
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    return make_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def bilstm_folder(tmp_path_factory):
    return make_bilstm(tmp_path_factory.mktemp("bilstm"))


@pytest.fixture(scope="session")
def texts():
    """40 texts of many lengths, the empty one and one over every limit among them, in no order."""
    whole = "the film is not very good , a dull plot . unwatchable bright ly bad the a is .".split()
    return [" ".join(whole[i % 7 : i % 7 + (i * 5) % 13]) for i in range(38)] + ["", "good film , " * 30]


@pytest.fixture(scope="session")
def swapped_folder(tmp_path_factory):
    """The BERT with its labels in the other order."""
    return make_bert(tmp_path_factory.mktemp("swapped"), NAMES[::-1])


@pytest.fixture(scope="session")
def stranger_folder(tmp_path_factory):
    """A BERT with other labels."""
    return make_bert(tmp_path_factory.mktemp("stranger"), ("bad", "good"))


@pytest.fixture(scope="session")
def make_record():
    """A record for the BiLSTM and the BERT, with whatever a test changes."""
    return _make_record


def _make_record(**changes):
    record = {
        "task": "custom",
        "text_columns": ["text"],
        "label_names": list(NAMES),
        "tiers": [TierRecord("bilstm", "tier1", batch_size=8), TierRecord("bert", "tier2", batch_size=4)],
        "points": [OperatingPoint(["torch-fp32"], [0.88])],
    }
    return CascadeRecord(**(record | changes))


@pytest.fixture
def cascade_folder(tmp_path, bilstm_folder, bert_folder):
    write_cascade(tmp_path / "cascade", _make_record(), [bilstm_folder, bert_folder])
    return tmp_path / "cascade"

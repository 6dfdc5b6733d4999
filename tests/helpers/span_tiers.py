"""Two tiers that answer questions, and contexts of several windows, of one, and of none."""

import pytest
import span_tokenizers
import torch
from transformers import BertConfig, BertForQuestionAnswering

QUESTIONS = ["what is the river", "where is cairo", "what", "where is the city of cairo"]
CONTEXTS = [
    "the nile flows through cairo , the city . " * 22,
    "cairo is a city in the river of the nile .",
    "",
    "the river flows . " * 40 + "cairo is the city",
]
LENGTH = 120


def write_tier(folder, seed):
    torch.manual_seed(seed)
    tokenizer = span_tokenizers.bert()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=128, initializer_range=0.3,
    )  # fmt: skip
    BertForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def span_tiers(tmp_path_factory):
    root = tmp_path_factory.mktemp("span_tiers")
    return [write_tier(root / f"tier{number}", number) for number in (1, 2)]

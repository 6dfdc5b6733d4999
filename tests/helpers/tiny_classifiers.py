"""Tiny BERT and RoBERTa classifiers with random weights, and ragged batches for them."""

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

WORDS = 40
SIZES = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": WORDS}


def tiny_classifier(family: str, layers: int = 4, classes: int = 3, attention: str = "sdpa") -> PreTrainedModel:
    """In eval mode; weights and biases large enough that every part of the model shows in its answers."""
    torch.manual_seed(0)
    common = {"num_hidden_layers": layers, "num_labels": classes, **SIZES}
    if family == "bert":
        config = BertConfig(max_position_embeddings=16, attn_implementation=attention, **common)
        model = BertForSequenceClassification(config)
    else:
        config = RobertaConfig(
            max_position_embeddings=18, pad_token_id=1, type_vocab_size=2, attn_implementation=attention, **common
        )
        model = RobertaForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model.eval()


def ragged_batch(family: str, lengths=(3, 12, 7, 1, 9), types: bool = True) -> dict[str, torch.Tensor]:
    """Random ids padded on the right; the second half of each row is the second text."""
    generator = torch.Generator().manual_seed(1)
    places = torch.arange(max(lengths))
    mask = (places < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, WORDS, mask.shape, generator=generator)
    inputs = {"input_ids": torch.where(mask == 1, ids, 1 if family == "roberta" else 0), "attention_mask": mask}
    if types:
        inputs["token_type_ids"] = (places >= torch.tensor(lengths)[:, None] // 2).long() * mask
    return inputs

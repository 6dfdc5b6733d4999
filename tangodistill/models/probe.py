"""Attention scores and hidden states of a BERT or RoBERTa encoder, read while it runs.

The scores are those before the softmax, which no output of transformers holds: they are taken in an attention function
of our own (transformers' ``AttentionInterface``), so the encoder's code and its forward are the library's. The scores
of a call are collected in a dictionary that travels with the call: nothing is shared between calls or threads.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "tangodistill_scores"


class Probe(NamedTuple):
    """What an encoder computed on the way, padding included."""

    hidden: list[Tensor]
    """Output of the embedding, then of each asked layer: ``(batch, length, hidden)``."""
    scores: list[Tensor]
    """QKᵀ/√d_h of each asked layer, without the mask: ``(batch, heads, length, length)``."""


def probe(encoder: PreTrainedModel, inputs: dict[str, Tensor], layers: Sequence[int]) -> Probe:
    """Run an encoder once and keep what ``layers`` compute.

    From the first call on the encoder computes attention through this file's function, with the same result.

    Args:
        encoder: a BERT or RoBERTa model, without its head (``model.base_model``); in train or eval mode.
        inputs: ``input_ids``, ``attention_mask`` and, where the tokenizer gives them, ``token_type_ids``, each
            ``(batch, length)``.
        layers: the layers to read, counted from 1.
    """
    if encoder.config._attn_implementation != NAME:
        encoder.set_attn_implementation(NAME)
    scores: dict[int, Tensor | None] = dict.fromkeys(layers)
    hidden = encoder(**inputs, output_hidden_states=True, scores_of_layers=scores).hidden_states
    return Probe([hidden[0], *(hidden[layer] for layer in layers)], list(scores.values()))


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scores_of_layers: dict[int, Tensor | None] | None = None,
    **options,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention, spelled out where scores are asked for: quicker for short texts on a CPU as well.

    Scores are held as (batch, heads, key, query), so that the softmax runs over columns: over rows of a few elements
    it is several times slower. It is taken in float32, in which the scores are compared later.
    """
    if scores_of_layers is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    scores = (key @ query.transpose(2, 3)).float() * options["scaling"]
    if (layer := module.layer_idx + 1) in scores_of_layers:
        scores_of_layers[layer] = scores.transpose(2, 3)
    if attention_mask is not None:  # (batch, 1, query, key), True on tokens
        scores = torch.where(attention_mask.transpose(2, 3), scores, torch.finfo(scores.dtype).min)
    weights = F.dropout(scores.softmax(2), options["dropout"]).to(value.dtype)
    return (weights.transpose(2, 3) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)

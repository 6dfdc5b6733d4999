"""Walks a BERT or RoBERTa of the Hugging Face library step by step: embed, layer i (or its two halves), head.

The one place that reaches inside these models; the test of parity with their own forward guards it against new versions
of the library.
"""

from __future__ import annotations

import torch
from transformers import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    PreTrainedModel,
    RobertaForSequenceClassification,
)
from transformers.masking_utils import create_bidirectional_mask

from tangodistill.user_error import UserError

Classifier = BertForSequenceClassification | RobertaForSequenceClassification


class EncoderSteps:
    """The steps of a classifier or of BERT for spans, whose weights stay its own.

    One after the other they give the model's own logits:

        hidden, mask = steps.embed(input_ids, attention_mask, token_type_ids)
        for i in range(steps.layers):
            hidden = steps.layer(i, hidden, mask)
        logits = steps.head(hidden)

    Rows may be dropped between two steps, from `hidden` and from `mask` alike; tokens between a layer's two halves,
    `attend` and `feed_forward`, after which `mask` makes the mask of those that are left.

    Args:
        classifier: BERT or RoBERTa sequence classifier, or BERT for spans, with any attention implementation.

    Raises:
        UserError: another architecture.
    """

    def __init__(self, classifier: PreTrainedModel):
        if not isinstance(classifier, Classifier | BertForQuestionAnswering):
            raise UserError(
                f"{classifier.name_or_path or 'the model'} is a {type(classifier).__name__}; only BERT and RoBERTa "
                "sequence classifiers can be run layer by layer. Give a BertForSequenceClassification or a "
                "RobertaForSequenceClassification."
            )
        self.classifier = classifier
        self.encoder = classifier.base_model
        self.layers: int = len(self.encoder.encoder.layer)

    def embed(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Embeddings (batch, length, hidden), and the mask in the form that the layers take.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, length), 1 on tokens; None where nothing is padded.
            token_type_ids: (batch, length); None for all zero.

        Returns:
            The mask is (batch, 1, length, length) with sdpa and eager attention, and None where nothing is masked.
        """
        hidden = self.encoder.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        if attention_mask is None:
            return hidden, None
        return hidden, self.mask(hidden, attention_mask)

    def mask(self, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor | None:
        """The mask in the form that the layers take, of tokens (batch, length), for states (batch, length, hidden)."""
        return create_bidirectional_mask(self.encoder.config, hidden, attention_mask)

    def layer(self, i: int, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Hidden states (batch, length, hidden) after layer `i`, counted from 0, from those before it."""
        return self.encoder.encoder.layer[i](hidden, mask)

    def attend(self, i: int, hidden: torch.Tensor, real: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The first half of layer `i`: its attention, spelled out, since no implementation gives the probabilities.

        They are laid out by column, as in `models/probe.py`: a softmax over short rows is several times slower.

        Args:
            hidden: (batch, length, hidden).
            real: (batch, length) bool, True on tokens; None where nothing is padded.

        Returns:
            States (batch, length, hidden), and the attention probabilities (batch, heads, key, query) before dropout.
        """
        attention = self.encoder.encoder.layer[i].attention
        own, heads = attention.self, (self.encoder.config.num_attention_heads, -1)
        query, key, value = (
            part(hidden).unflatten(-1, heads).transpose(1, 2) for part in (own.query, own.key, own.value)
        )
        scores = key @ query.transpose(2, 3) * own.scaling
        if real is not None:
            scores = torch.where(real[:, None, :, None], scores, torch.finfo(scores.dtype).min)
        probabilities = scores.softmax(2)
        context = own.dropout(probabilities).to(value.dtype).transpose(2, 3) @ value
        return attention.output(context.transpose(1, 2).flatten(2), hidden), probabilities

    def feed_forward(self, i: int, attended: torch.Tensor) -> torch.Tensor:
        """The second half of layer `i`: states (batch, length, hidden) from those that `attend` gave."""
        return self.encoder.encoder.layer[i].feed_forward_chunk(attended)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes), for spans (batch, length, 2), from the states (batch, length, hidden) at the end."""
        if isinstance(self.classifier, BertForQuestionAnswering):
            return self.classifier.qa_outputs(hidden)
        if self.encoder.pooler is None:  # RoBERTa's head reads the hidden states itself
            return self.classifier.classifier(hidden)
        return self.classifier.classifier(self.classifier.dropout(self.encoder.pooler(hidden)))

    @property
    def pooling(self) -> torch.nn.Linear:
        """The trained projection of the first token, before its tanh: BERT's pooler, or that in RoBERTa's head."""
        return self.classifier.classifier.dense if self.encoder.pooler is None else self.encoder.pooler.dense

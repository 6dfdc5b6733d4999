"""Walks a BERT or RoBERTa classifier of the Hugging Face library step by step: embed, layer i, head.

The one place that reaches inside these models; the test of parity with their own forward guards it against new versions
of the library.
"""

from __future__ import annotations

import torch
from transformers import BertForSequenceClassification, PreTrainedModel, RobertaForSequenceClassification
from transformers.masking_utils import create_bidirectional_mask

from tangodistill.user_error import UserError

Classifier = BertForSequenceClassification | RobertaForSequenceClassification


class EncoderSteps:
    """The steps of a classifier, whose weights stay its own.

    One after the other they give the classifier's own logits:

        hidden, mask = steps.embed(input_ids, attention_mask, token_type_ids)
        for i in range(steps.layers):
            hidden = steps.layer(i, hidden, mask)
        logits = steps.head(hidden)

    Rows may be dropped between two steps, from `hidden` and from `mask` alike.

    Args:
        classifier: BERT or RoBERTa sequence classifier, with any attention implementation.

    Raises:
        UserError: another architecture.
    """

    def __init__(self, classifier: PreTrainedModel):
        if not isinstance(classifier, Classifier):
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
        return hidden, create_bidirectional_mask(self.encoder.config, hidden, attention_mask)

    def layer(self, i: int, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Hidden states (batch, length, hidden) after layer `i`, counted from 0, from those before it."""
        return self.encoder.encoder.layer[i](hidden, mask)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes) from the hidden states (batch, length, hidden) after the last layer."""
        if self.encoder.pooler is None:  # RoBERTa's head reads the hidden states itself
            return self.classifier.classifier(hidden)
        return self.classifier.classifier(self.classifier.dropout(self.encoder.pooler(hidden)))

    @property
    def pooling(self) -> torch.nn.Linear:
        """The trained projection of the first token, before its tanh: BERT's pooler, or that in RoBERTa's head."""
        return self.classifier.classifier.dense if self.encoder.pooler is None else self.encoder.pooler.dense

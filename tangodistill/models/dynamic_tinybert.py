"""Dynamic-TinyBERT: a BERT whose layers keep ever fewer tokens, and which gives each token's latest state at the end.

Guskin et al. 2021, "Dynamic-TinyBERT: Boost TinyBERT's Inference Efficiency by Dynamic Sequence Length"; Kim and Cho
2021, "Length-Adaptive Transformer", §3.3 (drop-and-restore). Its parameters have BERT's own names, so that
`from_pretrained` of a BERT or TinyBERT folder starts one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertPreTrainedModel,
)
from transformers.modeling_outputs import QuestionAnsweringModelOutput, SequenceClassifierOutput

from tangodistill.models.drop_and_restore import most_significant, restore, rows_at, significance
from tangodistill.models.encoder_steps import EncoderSteps
from tangodistill.models.length_configuration import FEWEST, checked, share_of
from tangodistill.user_error import UserError


class DynamicTinyBertConfig(BertConfig):
    """A BERT of shrinking length.

    Args:
        length_configuration: for each layer the share, in (0, 1], of the example's own tokens that are left after its
            attention, never rising; at least two tokens are. None: all are.
    """

    model_type = "dynamic_tinybert"

    length_configuration: list[float] | None = None


class DynamicBert(BertPreTrainedModel):
    """What the classifier and the span model share: how one starts, and the walk through the layers."""

    config_class = DynamicTinyBertConfig
    keeps_first: bool
    """Whether the first token is never dropped, since the head reads it alone."""

    def __init__(self, config: DynamicTinyBertConfig):
        super().__init__(config)
        checked(config.length_configuration, config.num_hidden_layers)

    @classmethod
    def from_bert(cls, bert: BertPreTrainedModel, length_configuration: Sequence[float] | None = None) -> Self:
        """A model on a copy of a BERT's weights, in its mode; a head that it does not have is new.

        Raises:
            UserError: the model is no BERT, or the configuration does not fit it.
        """
        if not isinstance(bert, BertPreTrainedModel):
            raise UserError(
                f"{bert.name_or_path or 'the model'} is a {bert.config.model_type} model; a Dynamic-TinyBERT starts "
                "from a BERT, such as a folder that TinyBERT's stages wrote."
            )
        values = {name: value for name, value in bert.config.to_dict().items() if name != "model_type"}
        lengths = None if length_configuration is None else list(length_configuration)
        model = cls(DynamicTinyBertConfig(**values | {"length_configuration": lengths}))
        model.base_model.load_state_dict(bert.base_model.state_dict(), strict=False)
        model.load_state_dict(bert.state_dict(), strict=False)
        return model.train(bert.training)

    def encode(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        length_configuration: Sequence[float] | None = None,
        kept_layers: Sequence[bool] | None = None,
    ) -> torch.Tensor:
        """Each token's latest state (batch, length, hidden): of the last layer, or of the one before it was dropped.

        A layer that drops keeps the k = max(2, ⌈ratio · n⌉) most significant of an example's n tokens (`significance`)
        between its attention and its feed-forward part. Tensors are cut to the k of the padded length, which is the
        batch's largest where batches are padded to their longest text, and which an exported graph knows from shapes.

        Args:
            input_ids: (batch, length), padded on the right.
            attention_mask: (batch, length), 1 on tokens; None where nothing is padded.
            token_type_ids: (batch, length); None for all zero.
            length_configuration: instead of the config's own.
            kept_layers: False for a layer that passes its input on (LayerDrop); None: all are run.
        """
        steps = EncoderSteps(self)
        lengths = checked(length_configuration or self.config.length_configuration, steps.layers)
        hidden, mask = steps.embed(input_ids, attention_mask, token_type_ids)
        real = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        places = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        tokens, latest, kept = real.sum(1), hidden, 1.0
        for i in range(steps.layers):
            if kept_layers is not None and not kept_layers[i]:
                continue
            if lengths[i] == kept:
                hidden = steps.layer(i, hidden, mask)
                continue
            latest = hidden if kept == 1.0 else restore(latest, places, hidden, real)
            kept = lengths[i]
            attended, probabilities = steps.attend(i, hidden, None if attention_mask is None else real)
            size = torch.sym_min(torch.sym_max(share_of(input_ids.shape[1], kept), FEWEST), hidden.shape[1])
            chosen = most_significant(significance(probabilities, real), real, size, self.keeps_first)
            limits = torch.minimum(share_of(tokens, kept).clamp(min=FEWEST), tokens)
            real = torch.arange(size, device=tokens.device) < limits[:, None]
            places = places.gather(1, chosen)
            hidden = steps.feed_forward(i, rows_at(attended, chosen))
            mask = steps.mask(hidden, real)
        return hidden if kept == 1.0 else restore(latest, places, hidden, real)


class DynamicTinyBertForSequenceClassification(DynamicBert, BertForSequenceClassification):
    """A classifier whose first token is in every layer."""

    keeps_first = True

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        length_configuration: Sequence[float] | None = None,
        kept_layers: Sequence[bool] | None = None,
        **_,
    ) -> SequenceClassifierOutput:
        """`logits` (batch, classes), and `loss`, their cross-entropy to `labels` (batch,); inputs as in `encode`."""
        states = self.encode(input_ids, attention_mask, token_type_ids, length_configuration, kept_layers)
        logits = EncoderSteps(self).head(states)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


class DynamicTinyBertForQuestionAnswering(DynamicBert, BertForQuestionAnswering):
    """Start and end of a span, at any position of the text."""

    keeps_first = False

    def __init__(self, config: DynamicTinyBertConfig):
        config.num_labels = 2  # start and end, whatever the labels of a classifier that it starts from
        super().__init__(config)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        start_positions: torch.Tensor | None = None,
        end_positions: torch.Tensor | None = None,
        length_configuration: Sequence[float] | None = None,
        kept_layers: Sequence[bool] | None = None,
        **_,
    ) -> QuestionAnsweringModelOutput:
        """`start_logits`, `end_logits` (batch, length), and `loss`; other inputs as in `encode`.

        Args:
            start_positions, end_positions: (batch,); one beyond the length, for an answer that was cut off, is left
                out of the loss, the mean of both cross-entropies.
        """
        states = self.encode(input_ids, attention_mask, token_type_ids, length_configuration, kept_layers)
        start_logits, end_logits = EncoderSteps(self).head(states).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            beyond = input_ids.shape[1]
            targets = ((start_logits, start_positions), (end_logits, end_positions))
            loss = sum(F.cross_entropy(own, at.clamp(0, beyond), ignore_index=beyond) for own, at in targets) / 2
        return QuestionAnsweringModelOutput(loss=loss, start_logits=start_logits, end_logits=end_logits)


AutoConfig.register(DynamicTinyBertConfig.model_type, DynamicTinyBertConfig)
AutoModelForSequenceClassification.register(DynamicTinyBertConfig, DynamicTinyBertForSequenceClassification)
AutoModelForQuestionAnswering.register(DynamicTinyBertConfig, DynamicTinyBertForQuestionAnswering)

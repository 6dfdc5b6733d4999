"""DeeBERT: a classifier with an off-ramp after each layer but the last, which leaves at the first that is sure."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from tangodistill.models.encoder_steps import Classifier, EncoderSteps


class DeeBertConfig(PretrainedConfig):
    """A classifier to leave early.

    Args:
        backbone: the BERT or RoBERTa classifier's own config, as a dictionary with its `model_type`.
        dropout: share dropped before each off-ramp's last layer, while training.
        entropy_threshold: an example leaves at the first off-ramp whose entropy is below; None: none leaves early.
    """

    model_type = "deebert"

    backbone: dict | None = None
    dropout: float = 0.1
    entropy_threshold: float | None = None

    @property
    def max_position_embeddings(self) -> int:
        return self.backbone_config().max_position_embeddings

    def backbone_config(self) -> PretrainedConfig:
        return AutoConfig.for_model(**(self.backbone or {"model_type": "bert"}))


class OffRamp(nn.Module):
    """A classifier on a layer's first token h: z = W₂ · dropout(tanh(W₁ h + b₁)) + b₂."""

    def __init__(self, hidden_size: int, classes: int, dropout: float):
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_size, classes)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes) from the layer's hidden states (batch, length, hidden)."""
        return self.classifier(self.dropout(torch.tanh(self.dense(hidden[:, 0]))))


class DeeBertForSequenceClassification(PreTrainedModel):
    """A fine-tuned BERT or RoBERTa classifier of n layers, its backbone, with n − 1 off-ramps.

    Xin et al. 2020, "DeeBERT: Dynamic Early Exiting for Accelerating BERT Inference", §3. The last exit is the
    backbone's own head: the paper's code has an off-ramp there too, which is never trained but may answer.

    An example's answer never depends on the batch: those that leave are taken out of it, and the others go on.
    """

    config_class = DeeBertConfig
    base_model_prefix = "backbone"
    _supports_sdpa = True

    def __init__(self, config: DeeBertConfig):
        super().__init__(config)
        self.backbone = AutoModelForSequenceClassification.from_config(config.backbone_config())
        self.steps = EncoderSteps(self.backbone)
        hidden_size = self.backbone.config.hidden_size
        self.off_ramps = nn.ModuleList(
            OffRamp(hidden_size, config.num_labels, config.dropout) for _ in range(self.steps.layers - 1)
        )
        self.post_init()

    @classmethod
    def from_classifier(cls, classifier: Classifier) -> DeeBertForSequenceClassification:
        """A model on a copy of the classifier's weights, in eval mode; off-ramps start from its trained pooling.

        Raises:
            UserError: the classifier is neither BERT nor RoBERTa.
        """
        pooling, own = EncoderSteps(classifier).pooling, classifier.config
        config = DeeBertConfig(
            backbone=own.to_dict(),
            dropout=own.hidden_dropout_prob if own.classifier_dropout is None else own.classifier_dropout,
            id2label=own.id2label,
            label2id=own.label2id,
        )
        model = cls(config)
        model.backbone.load_state_dict(classifier.state_dict())
        for off_ramp in model.off_ramps:
            off_ramp.dense.load_state_dict(pooling.state_dict())
        return model.eval()

    def get_input_embeddings(self) -> nn.Module:
        return self.backbone.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.backbone.set_input_embeddings(value)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **_,
    ) -> SequenceClassifierOutput:
        """The last layer's logits, or with `config.entropy_threshold` those of each example's exit.

        Args:
            input_ids: (batch, length), padded on the right.
            attention_mask: (batch, length), 1 on tokens; None where nothing is padded.
            token_type_ids: (batch, length); None for all zero.
            labels: (batch,) class ids.

        Returns:
            `logits` (batch, classes) and `loss`, their cross-entropy (scalar, or None).
        """
        inputs = (input_ids, attention_mask, token_type_ids)
        if self.config.entropy_threshold is None:
            logits = self.backbone(*inputs).logits
        else:
            logits, _ = self.leave_early(*inputs, threshold=self.config.entropy_threshold)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def all_exits(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits (exits, batch, classes) of every off-ramp and of the last layer; inputs as in `forward`."""
        hidden, mask = self.steps.embed(input_ids, attention_mask, token_type_ids)
        logits = []
        for i, off_ramp in enumerate(self.off_ramps):
            hidden = self.steps.layer(i, hidden, mask)
            logits.append(off_ramp(hidden))
        logits.append(self.steps.head(self.steps.layer(len(self.off_ramps), hidden, mask)))
        return torch.stack(logits)

    def leave_early(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        *,
        threshold: float,
        watch: Callable[[torch.Tensor, torch.Tensor | None], object] = lambda logits, entropies: None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, classes) of each example's exit, and which exit that is, (batch,) counted from 0.

        An example leaves at the first off-ramp whose entropy is below the threshold (strict), else at the last layer;
        only those still in go through the next layer.

        Args:
            threshold: in nats, compared in float32; 0 lets none leave early.
            watch: told each exit's logits (active, classes) and entropies (active,) once it is decided who leaves, and
                at the last layer its logits and None.
        """
        hidden, mask = self.steps.embed(input_ids, attention_mask, token_type_ids)
        active = torch.arange(len(input_ids), device=hidden.device)
        logits = torch.empty(len(input_ids), self.config.num_labels, device=hidden.device)
        exits = torch.full_like(active, len(self.off_ramps))
        for i, off_ramp in enumerate(self.off_ramps):
            hidden = self.steps.layer(i, hidden, mask)
            answers = off_ramp(hidden).float()
            entropies = entropy(answers)
            sure = entropies < threshold
            any_sure = bool(sure.any())
            watch(answers, entropies)
            if not any_sure:
                continue
            logits[active[sure]], exits[active[sure]] = answers[sure], i
            active = active[~sure]
            if not len(active):
                return logits, exits
            hidden, mask = hidden[~sure], None if mask is None else mask[~sure]
        answers = self.steps.head(self.steps.layer(len(self.off_ramps), hidden, mask)).float()
        watch(answers, None)
        logits[active] = answers
        return logits, exits


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """H = −Σ_c p_c log p_c in nats, (…,) float32 from logits (…, classes), by log-softmax: never NaN or infinite.

    >>> entropy(torch.tensor([[0.0, 0.0], [0.0, 1000.0]]))
    tensor([0.6931, 0.0000])
    """
    logs = F.log_softmax(logits.float(), dim=-1)
    return (logs.exp() * -logs).sum(-1)


AutoConfig.register(DeeBertConfig.model_type, DeeBertConfig)
AutoModelForSequenceClassification.register(DeeBertConfig, DeeBertForSequenceClassification)

"""The BiLSTM student: word vectors, two bidirectional LSTM layers, a small feed-forward head."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class BiLSTMConfig(PretrainedConfig):
    """Sizes of a BiLSTM classifier; the defaults give 684,922 parameters with two classes.

    Args:
        vocab_size: embedding rows, special tokens included.
        embedding_size: width of the word vectors.
        hidden_size: LSTM units per direction.
        num_layers: bidirectional LSTM layers.
        ffn_size: units of the hidden layer before the classes.
        dropout: share dropped of the word vectors, between the LSTM layers and before the last layer, while training.
    """

    model_type = "bilstm"

    vocab_size: int = 10_000
    embedding_size: int = 50
    hidden_size: int = 64
    num_layers: int = 2
    ffn_size: int = 200
    dropout: float = 0.2
    pad_token_id: int | None = 0


class BiLSTMForSequenceClassification(PreTrainedModel):
    """Classifies a text by the last states of both directions of the upper BiLSTM layer.

    With h→ the forward state on the text's last token and h← the backward state on its first,
    z = W₂ · dropout(ReLU(W₁ [h→; h←] + b₁)) + b₂. Architecture after Mamou et al. 2022, "TangoBERT", §5.2.1, with the
    hidden layer of Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", §3.

    The answer never depends on the batch: rows of one length run as they are, and others as a packed sequence, so no
    state is ever computed on padding.
    """

    config_class = BiLSTMConfig
    base_model_prefix = "bilstm"

    def __init__(self, config: BiLSTMConfig):
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.lstm = nn.LSTM(
            config.embedding_size,
            config.hidden_size,
            config.num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.hidden = nn.Linear(2 * config.hidden_size, config.ffn_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.ffn_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own initial values, not the normal distribution that transformers gives to encoders."""
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embedding = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **_,
    ) -> SequenceClassifierOutput:
        """Logits, and the cross-entropy where labels are given.

        Args:
            input_ids: (batch, length), padded on the right; a row without tokens is read as one padding token.
            attention_mask: (batch, length), 1 on tokens; None where nothing is padded.
            labels: (batch,) class ids.

        Returns:
            `logits` (batch, classes) and `loss` (scalar, or None).
        """
        if input_ids.shape[1] == 0:
            input_ids, attention_mask = input_ids.new_full((len(input_ids), 1), self.config.pad_token_id), None
        states = self._last_states(self.dropout(self.embedding(input_ids)), attention_mask)
        logits = self.classifier(self.dropout(F.relu(self.hidden(states))))
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _last_states(self, vectors: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """(batch, 2 · hidden) from (batch, length, embedding)."""
        if attention_mask is not None and not attention_mask.all():
            lengths = attention_mask.sum(1).clamp(min=1).cpu()
            # packing takes a much slower path than a plain batch: callers that can, batch by exact length
            vectors = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(vectors)  # (2 · layers, batch, hidden): the upper layer's two directions come last
        return torch.cat([last[-2], last[-1]], dim=1)


AutoConfig.register(BiLSTMConfig.model_type, BiLSTMConfig)
AutoModelForSequenceClassification.register(BiLSTMConfig, BiLSTMForSequenceClassification)

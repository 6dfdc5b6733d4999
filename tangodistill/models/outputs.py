"""What a tier's model gives, as one tensor."""

import torch
from transformers.utils import ModelOutput


def tier_outputs(answer: ModelOutput) -> torch.Tensor:
    """Logits (batch, classes) of a classifier; (2, batch, length) of a span model: of first and last token."""
    return torch.stack([answer.start_logits, answer.end_logits]) if hasattr(answer, "start_logits") else answer.logits

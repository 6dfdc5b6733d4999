"""A teacher that runs beside its student: frozen, in eval mode, and in no checkpoint."""

import torch
from torch import nn
from transformers import PreTrainedModel

from tangodistill.models.device import has_bfloat16


def frozen(teacher: nn.Module) -> tuple[nn.Module]:
    """The teacher, in a tuple, so that it is no part of the module that holds it: neither trained, nor saved."""
    return (teacher.eval().requires_grad_(False),)


def place_frozen(teacher: nn.Module, device: torch.device) -> None:
    """Move it to the device, its matrices in bfloat16 where autocast would bring them there in every step."""
    teacher.to(device)
    if has_bfloat16(device):
        for module in teacher.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)


def lean_encoder(teacher: PreTrainedModel, layers: int) -> PreTrainedModel:
    """The teacher's encoder up to the last layer that is learned from."""
    encoder = teacher.base_model
    encoder.encoder.layer, encoder.pooler = encoder.encoder.layer[:layers], None
    return encoder

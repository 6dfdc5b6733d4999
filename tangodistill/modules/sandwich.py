"""The sandwich rule: a network of any length and depth learns its task in full, and its sub-networks learn from it.

Yu and Huang 2019, "Universally Slimmable Networks", §3.2 and 3.3; Kim and Cho 2021, "Length-Adaptive Transformer",
§3.2.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tangodistill.losses import kl_divergence
from tangodistill.models.length_configuration import Lengths, sample, smallest

Divergence = Literal["forward", "reverse"]


class SubNetwork(NamedTuple):
    """A way to run a Dynamic-TinyBERT."""

    lengths: Lengths
    kept_layers: tuple[bool, ...]


def draw_sub_networks(layers: int, count: int, layer_drop: float, rng: np.random.Generator) -> list[SubNetwork]:
    """The smallest network with all its layers, then `count` random ones by LengthDrop and LayerDrop.

    LayerDrop (Fan et al. 2020) leaves out each layer with probability `layer_drop`. Public code leaves layers out of
    the full network too, which then is no longer the teacher that will answer.
    """
    drawn = [SubNetwork(smallest(layers), (True,) * layers)]
    for _ in range(count):
        kept = tuple(bool(stays) for stays in rng.random(layers) >= layer_drop)
        drawn.append(SubNetwork(sample(layers, rng, kept_layers=kept), kept))
    return drawn


def sandwich_losses(
    answers: Callable[[SubNetwork], Tensor],
    task_loss: Callable[[Tensor], Tensor],
    sub_networks: Sequence[SubNetwork],
    divergence: Divergence = "forward",
) -> Tensor:
    """Losses (1 + sub-networks,) whose mean is the step's: that of the full network, then a divergence from it of each.

    L = 1/(S+2) · [L_task(full) + Σ_j KL(full ‖ sub_j)], with the full network's answers detached in the divergences.
    `reverse` takes KL(sub_j ‖ full), which public code computes by a swap of arguments.

    Args:
        answers: logits (…, classes) of the batch by a sub-network.
        task_loss: of the full network's answers, a scalar.
        sub_networks: all of one depth.
    """
    layers = len(sub_networks[0].lengths)
    full = answers(SubNetwork((1.0,) * layers, (True,) * layers))
    losses = [task_loss(full)]
    for sub_network in sub_networks:
        pair = answers(sub_network), full.detach()
        losses.append(kl_divergence(*pair if divergence == "forward" else reversed(pair)))
    return torch.stack(losses)

"""A training step that runs a network at several lengths and depths: what classifiers and span models share."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from tangodistill.modules.sandwich import Divergence, SubNetwork, draw_sub_networks, sandwich_losses
from tangodistill.modules.trained import TrainedModule


class LengthDropTraining(TrainedModule):
    """Each step runs the full network, the smallest and some random ones; mixed into a module that loads a model.

    The full network learns its task, the others its answers (`modules/sandwich.py`). Guskin et al. 2021,
    "Dynamic-TinyBERT", §3, where this step is optional.
    """

    sub_networks: int
    layer_drop: float
    divergence: Divergence

    @abstractmethod
    def answers(self, batch: dict[str, Any], network: SubNetwork) -> Tensor:
        """Logits (…, classes) float32 of a batch by a sub-network."""

    @abstractmethod
    def task_loss(self, batch: dict[str, Any]) -> Callable[[Tensor], Tensor]:
        """From the full network's logits of this batch to its loss, a scalar."""

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        losses = sandwich_losses(
            lambda network: self.answers(batch, network), self.task_loss(batch), self.draw(), self.divergence
        )
        self.log_dict({"train/full": losses[0], "train/smallest": losses[1]})
        self.log("train/loss", losses.mean(), prog_bar=True)
        return losses.mean()

    def draw(self) -> list[SubNetwork]:
        """This step's sub-networks: the same in every process, and after a resume."""
        rng = np.random.default_rng([self.trainer.datamodule.seed, self.global_step])
        return draw_sub_networks(self.model.config.num_hidden_layers, self.sub_networks, self.layer_drop, rng)

"""A training that validates and saves the average of its last weights."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from transformers import PreTrainedModel

from tangodistill.modules.trained import TrainedModule


@torch.no_grad()
def average_weights(average: list[Tensor], newest: list[Tensor], count: Tensor) -> None:
    """Moves the average, in place, towards the newest weights: by 9 / (10 + count) of the way, after `count` updates.

    The average thus spans about the last tenth of the steps, however many there are (polynomial decay, Shamir & Zhang
    2013), and never remembers the first.
    """
    torch._foreach_lerp_(average, newest, 9 / (10 + float(count)))


class AveragedWeights(TrainedModule):
    """What is validated and saved are the weights averaged over the last steps; mixed into a module that trains."""

    def start_average(self) -> None:
        """To be called once the model is there, before it is trained."""
        self.average = AveragedModel(self.model, multi_avg_fn=average_weights).requires_grad_(False)

    @property
    def in_use(self) -> PreTrainedModel:
        """The averaged model while a training validates, else the one that is trained."""
        averaged = self.trainer.state.fn == "fit" and not self.training
        return self.average.module if averaged else self.model

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.average.update_parameters(self.model)

    def save(self, scores: dict[str, Any]) -> None:
        if self.trainer.state.fn == "fit":
            self.model.load_state_dict(self.average.module.state_dict())
        super().save(scores)

"""What students have in common that learn from stored logits: their loss, and which weights are kept."""

from typing import Any, Literal

from lightning.pytorch.callbacks import Callback
from torch import Tensor

from tangodistill.losses import hard_cross_entropy, logit_mse, soft_cross_entropy
from tangodistill.modules.class_weights import ClassWeights
from tangodistill.modules.classifier import ClassifierModule
from tangodistill.user_error import UserError

Loss = Literal["logit_mse", "soft_cross_entropy"]


class DistilledModule(ClassifierModule):
    """A classifier that learns the logits which a transfer set carries; a subclass makes the model and its answers.

    The last weights are kept, those of the lowest learning rate. Scores on a selection role of common size differ too
    little from one epoch to the next to choose by, and on texts without labels there is little to overfit.

    Args:
        loss, temperature, hard_weight, class_weights: of the loss, see `distillation_loss`.
        lr, weight_decay, warmup_fraction: as of `TrainedModule`.

    Raises:
        UserError: the temperature is not above 0.
    """

    def __init__(
        self,
        loss: Loss,
        temperature: float,
        class_weights: ClassWeights | None,
        lr: float,
        weight_decay: float,
        warmup_fraction: float,
        hard_weight: float = 0.0,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        if temperature <= 0:
            raise UserError(f"model.temperature is {temperature}; give a number above 0.")
        self.loss, self.temperature, self.hard_weight = loss, temperature, hard_weight
        self.class_weights = class_weights

    def distillation_loss(self, logits: Tensor, teacher: Tensor) -> Tensor:
        """The loss of logits ``(batch, classes)`` against the teacher's, a scalar; weighed by its answers."""
        weights = self.weights_of(teacher.argmax(1))
        if self.loss == "logit_mse":
            loss = logit_mse(logits, teacher, weights)
        else:
            loss = soft_cross_entropy(logits, teacher, self.temperature, weights)
        if self.hard_weight:
            loss = loss + self.hard_weight * hard_cross_entropy(logits, teacher, weights)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_callbacks(self) -> list[Callback]:
        return [self.last_checkpoint()]

    def kept_scores(self) -> dict[str, Any]:
        score = self.trainer.callback_metrics.get("val/score")
        return {} if score is None else {self.score_name: float(score)}

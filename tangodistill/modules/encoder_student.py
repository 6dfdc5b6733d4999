"""Distilling any encoder, or some of its layers, from stored teacher logits."""

from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from tangodistill.models.layers import keep_layers
from tangodistill.models.load import with_head_for
from tangodistill.modules.class_weights import ClassWeights
from tangodistill.modules.distilled import DistilledModule, Loss
from tangodistill.modules.pretrained import PretrainedClassifier


class EncoderStudentModule(PretrainedClassifier, DistilledModule):
    """Any Hugging Face encoder, or some of its layers, that learns the teacher's logits on the transfer set.

    It needs neither the teacher's tokenizer nor its width, and the teacher itself is not run. A head for other labels
    gives way to a new one. The last weights are kept.

    Args:
        pretrained: model folder, hub name, or ``package:minilm-l6``; the other verbs read the finished folder.
        layers: which of the model's layers are kept, counted from 1, such as ``[2, 4, 6]``; by default all.
        loss: ``logit_mse`` (Ba & Caruana 2014) or ``soft_cross_entropy`` (Hinton et al. 2015).
        temperature: of the soft cross-entropy.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
        max_length: tokens read of a text; by default the task's length, or what holds 99 % of the training texts whole.
        class_weights: what a row's loss counts, by the teacher's answer: ``balanced`` (all classes count alike
            together, however rare), or a weight by label name, such as ``{fraud: 10}``.
    """

    def __init__(
        self,
        pretrained: str,
        layers: list[int] | None = None,
        loss: Loss = "logit_mse",
        temperature: float = 1.0,
        lr: float = 5e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        max_length: int | None = None,
        class_weights: ClassWeights | None = None,
    ):
        super().__init__(loss, temperature, class_weights, lr, weight_decay, warmup_fraction)
        self.pretrained, self.layers, self.longest = pretrained, layers, max_length

    def setup(self, stage: str) -> None:
        if stage == "fit":
            self._build()
        else:
            self.load(str(self.root))
        self.make_ready(self.longest)

    def _build(self) -> None:
        """The model to begin with: the layers that are kept, under a head for the task's labels."""
        new_head = self.load(self.pretrained)
        self.model, replaced = with_head_for(self.model, self.task.label_names)
        if new_head or replaced:
            rank_zero_info(f"{self.pretrained} has no head for the data's labels: a new head is trained.")
        if self.layers is not None:
            self.model = keep_layers(self.model, self.layers)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        with self.autocast():
            logits = self(batch)
        return self.distillation_loss(logits, batch["teacher_logits"])

"""Fine-tuning the teacher, or checking one that is fine-tuned already."""

from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.functional import cross_entropy

from tangodistill.data.labels import given_label_names
from tangodistill.modules.averaged import AveragedWeights
from tangodistill.modules.class_weights import ClassWeights
from tangodistill.modules.pretrained import PretrainedClassifier
from tangodistill.user_error import UserError


class TeacherModule(AveragedWeights, PretrainedClassifier):
    """Any Hugging Face sequence classifier, or an encoder that gets a new head.

    What is validated and saved are the weights averaged over the last steps: on SST-2 they err less than the newest.

    Args:
        pretrained: model folder, hub name, or ``package:minilm-l6``.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
        label_names: names of the model's outputs, in its order, where its config has none (``LABEL_0`` ...).
        class_weights: what a row's loss counts, by its label: ``balanced`` (all classes count alike together, however
            rare), or a weight by label name, such as ``{fraud: 10}``.
        save_validated: after ``validate``, write the model folder (``run --teacher`` sets it for a trained teacher).
        trust_remote_code: run the Python files that the folder brings along, where its config.json asks for it. Read
            them first; no tier of a cascade ever runs any.
    """

    untaught = "train longer, or check the labels"

    def __init__(
        self,
        pretrained: str,
        lr: float = 3e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        label_names: list[str] | None = None,
        save_validated: bool = False,
        trust_remote_code: bool = False,
        class_weights: ClassWeights | None = None,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.class_weights = class_weights
        self.pretrained, self.save_validated = pretrained, save_validated
        self.own_names = given_label_names(label_names or (), "model.label_names")
        self.trust_remote_code = trust_remote_code

    @property
    def who(self) -> str:
        return f"the teacher {self.pretrained}"

    def setup(self, stage: str) -> None:
        new_head = self.load(self.pretrained, self.trust_remote_code)
        if new_head and stage != "fit":
            raise UserError(
                f"{self.pretrained} has no trained classification head, so there is nothing to evaluate. "
                "Train one with 'fit' first."
            )
        if new_head:
            rank_zero_info(f"{self.pretrained} is an encoder without a fitting head: a new head is trained.")
        if self.own_names:
            config = self.model.config
            config.id2label = dict(enumerate(self.own_names))
            config.label2id = {name: i for i, name in enumerate(self.own_names)}
        self.make_ready()
        if stage == "fit":
            self.start_average()

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Logits ``(batch, classes)`` float32 in the task's label order; by the averaged weights but in training."""
        return self.task_logits(self.in_use, batch)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        with self.autocast():
            logits = self(batch)
        labels = batch["labels"]
        loss = (self.weights_of(labels) * cross_entropy(logits, labels, reduction="none")).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        with self.autocast():
            super().validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        scores = {name.removeprefix("val/"): float(value) for name, value in self.metrics.compute().items()}
        super().on_validation_epoch_end()
        if self.trainer.state.fn == "validate":
            self.refuse_chance(scores)
            self._validated = {**scores, "warnings": self.warnings_of(scores)}

    def on_validation_end(self) -> None:
        if self.trainer.state.fn == "validate" and self.save_validated and self.trainer.is_global_zero:
            rows = len(self.trainer.datamodule.roles.selection)
            self.save({"split": "selection", "rows": rows, **self._validated})

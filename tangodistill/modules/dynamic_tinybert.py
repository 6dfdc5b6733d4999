"""Training a TinyBERT to answer well however many tokens its layers keep."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.losses import soft_cross_entropy
from tangodistill.models.dynamic_tinybert import DynamicTinyBertForSequenceClassification
from tangodistill.models.load import load_classifier
from tangodistill.modules.classifier import ClassifierModule
from tangodistill.modules.length_drop import LengthDropTraining
from tangodistill.modules.sandwich import Divergence, SubNetwork


class DynamicTinyBertModule(LengthDropTraining, ClassifierModule):
    """A trained TinyBERT learns to do with fewer tokens (LengthDrop), from the logits stored with the transfer set.

    Each step runs the full network, the smallest and some random ones: the full one learns the teacher's answers by
    soft cross-entropy, the others its own (`modules/sandwich.py`). Guskin et al. 2021, "Dynamic-TinyBERT", §3, where
    this step is optional. Metrics are those of the full network, which the finished folder is too until its config gets
    a ``length_configuration``.

    Args:
        student: folder that stage 2 (``TinyBertModule``) wrote, or any other BERT classifier; the other verbs read the
            finished folder.
        sub_networks: random ones in a step, beside the smallest.
        layer_drop: probability that a random one leaves out a layer.
        divergence: ``forward``, KL(full ‖ sub), or ``reverse``, KL(sub ‖ full).
        temperature: of the soft cross-entropy.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
        max_length: tokens read of a text; by default the task's length, or what holds 99 % of the training texts whole.
    """

    model: DynamicTinyBertForSequenceClassification

    def __init__(
        self,
        student: str,
        sub_networks: int = 2,
        layer_drop: float = 0.2,
        divergence: Divergence = "forward",
        temperature: float = 1.0,
        lr: float = 2e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        max_length: int | None = None,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.student, self.sub_networks, self.layer_drop = student, sub_networks, layer_drop
        self.divergence, self.temperature, self.longest = divergence, temperature, max_length

    def setup(self, stage: str) -> None:
        folder = str(resolve(self.student)) if stage == "fit" else str(self.root)
        self.model, _ = load_classifier(folder, self.task.label_names)
        if stage == "fit":
            self.model = DynamicTinyBertForSequenceClassification.from_bert(self.model)
        self.model.train()  # from_pretrained leaves dropout off
        self.tokenizer = load_tokenizer(folder)
        self.max_length = self.reading_length(self.longest, self.model)
        self.follow_task([self.model.config.id2label[i] for i in range(self.model.config.num_labels)])

    def task_loss(self, batch: dict[str, Any]) -> Callable[[Tensor], Tensor]:
        return lambda logits: soft_cross_entropy(logits, batch["teacher_logits"], self.temperature)

    def answers(self, batch: dict[str, Any], network: SubNetwork) -> Tensor:
        """Logits ``(batch, classes)`` float32 of a sub-network, in the task's label order."""
        inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
        with self.autocast():
            logits = self.model(**inputs, length_configuration=network.lengths, kept_layers=network.kept_layers).logits
        return logits.float()[:, self.label_order]

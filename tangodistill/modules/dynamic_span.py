"""Training a span student to answer well however many tokens its layers keep."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.losses import soft_span_cross_entropy
from tangodistill.models.dynamic_tinybert import DynamicTinyBertForQuestionAnswering
from tangodistill.models.load import load_span_model
from tangodistill.models.outputs import tier_outputs
from tangodistill.models.positions import position_limit
from tangodistill.modules.frozen import place_frozen
from tangodistill.modules.length_drop import LengthDropTraining
from tangodistill.modules.sandwich import Divergence, SubNetwork
from tangodistill.modules.span import INPUTS, SpanModule, span_logits
from tangodistill.modules.span_student import frozen_span_teacher


class DynamicSpanModule(LengthDropTraining, SpanModule):
    """A trained span student learns to do with fewer tokens (LengthDrop), from a teacher that runs beside it.

    Each step runs the full network, the smallest and some random ones: the full one learns the teacher's answers, the
    others its own (`modules/sandwich.py`). Guskin et al. 2021, "Dynamic-TinyBERT", §3. Metrics are those of the full
    network, which the finished folder is too until its config gets a ``length_configuration``.

    Args:
        student: folder that stage 2 (``SpanStudentModule``) wrote, or any other BERT span model; the other verbs read
            the finished folder.
        teacher: folder or hub name of the fine-tuned teacher, whose tokens the student reads.
        sub_networks: random ones in a step, beside the smallest.
        layer_drop: probability that a random one leaves out a layer.
        divergence: ``forward``, KL(full ‖ sub), or ``reverse``, KL(sub ‖ full).
        temperature: of the soft cross-entropy.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
    """

    model: DynamicTinyBertForQuestionAnswering

    def __init__(
        self,
        student: str,
        teacher: str,
        sub_networks: int = 2,
        layer_drop: float = 0.2,
        divergence: Divergence = "forward",
        temperature: float = 1.0,
        lr: float = 2e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.student, self.teacher, self.sub_networks, self.layer_drop = student, teacher, sub_networks, layer_drop
        self.divergence, self.temperature = divergence, temperature

    def setup(self, stage: str) -> None:
        folder = str(resolve(self.student)) if stage == "fit" else str(self.root)
        self.model, _ = load_span_model(folder)
        self.tokenizer = load_tokenizer(folder)
        if stage == "fit":
            self.model = DynamicTinyBertForQuestionAnswering.from_bert(self.model)
            self.frozen = frozen_span_teacher(self.teacher, self.student, self.tokenizer)
        self.model.train()  # from_pretrained leaves dropout off
        self.max_length = min(self.task.max_length, position_limit(self.model) or self.task.max_length)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        place_frozen(self.frozen[0], self.device)

    def task_loss(self, batch: dict[str, Any]) -> Callable[[Tensor], Tensor]:
        with self.autocast(), torch.no_grad():
            taught = span_logits(self.frozen[0], batch)
        return lambda logits: soft_span_cross_entropy(logits, taught, batch["attention_mask"], self.temperature)

    def answers(self, batch: dict[str, Any], network: SubNetwork) -> Tensor:
        """Logits ``(2, batch, length)`` float32 of a sub-network; padding is never an answer."""
        inputs = {name: batch[name] for name in INPUTS if name in batch}
        with self.autocast():
            answer = self.model(**inputs, length_configuration=network.lengths, kept_layers=network.kept_layers)
        logits = tier_outputs(answer).float()
        return logits.masked_fill(batch["attention_mask"] == 0, -1e4)

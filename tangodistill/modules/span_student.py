"""Distilling a span student from the answers of a teacher that runs beside it."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.losses import soft_span_cross_entropy
from tangodistill.models.load import load_span_model
from tangodistill.models.positions import position_limit
from tangodistill.modules.frozen import frozen, place_frozen
from tangodistill.modules.span import SpanModule, span_logits
from tangodistill.user_error import UserError


class SpanStudentModule(SpanModule):
    """Stage 2 for spans: the student learns the teacher's distributions of an answer's first and last token.

    L = ½ [CE(start) + CE(end)], soft cross-entropies over the real tokens of a window (Guskin et al. 2021,
    "Dynamic-TinyBERT", §3). The teacher runs beside the student, since its logits are as long as the text; the weights
    that score best on the selection role are kept.

    Args:
        pretrained: folder that stage 1 (``TinyBertIntermediateModule``) wrote, or any other span model or encoder.
        teacher: folder or hub name of the fine-tuned teacher, whose tokens the student reads.
        temperature: of the soft cross-entropy.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
    """

    def __init__(
        self,
        pretrained: str,
        teacher: str,
        temperature: float = 1.0,
        lr: float = 3e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.pretrained, self.teacher, self.temperature = pretrained, teacher, temperature

    def setup(self, stage: str) -> None:
        folder = str(resolve(self.pretrained)) if stage == "fit" else str(self.root)
        self.model, _ = load_span_model(folder)
        self.model.train()  # from_pretrained leaves dropout off
        self.tokenizer = load_tokenizer(folder)
        self.max_length = min(self.task.max_length, position_limit(self.model) or self.task.max_length)
        if stage == "fit":
            self.frozen = frozen_span_teacher(self.teacher, self.pretrained, self.tokenizer)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        place_frozen(self.frozen[0], self.device)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        with self.autocast():
            with torch.no_grad():
                taught = span_logits(self.frozen[0], batch)
            learnt = self(batch)
        loss = soft_span_cross_entropy(learnt, taught, batch["attention_mask"], self.temperature)
        self.log("train/loss", loss, prog_bar=True)
        return loss


def frozen_span_teacher(teacher: str, student: str, tokenizer: PreTrainedTokenizerBase) -> tuple[nn.Module]:
    """The teacher that runs beside a student with this tokenizer.

    Raises:
        UserError: it has no trained head, or reads other tokens.
    """
    folder = str(resolve(teacher))
    model, new_head = load_span_model(folder)
    if new_head:
        raise UserError(
            f"teacher {teacher} has no trained question-answering head, so its answers mean nothing. "
            "Fine-tune it first: 'python -m tangodistill fit' with SpanTeacherModule."
        )
    if load_tokenizer(folder).get_vocab() != tokenizer.get_vocab():
        raise UserError(
            f"{student} does not read the tokens of its teacher {teacher}: their answers are compared token by token. "
            "Start from a model with the same vocabulary."
        )
    return frozen(model)

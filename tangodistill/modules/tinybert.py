"""Distilling TinyBERT in its two stages: first what the teacher's layers compute, then its answers."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, get_constant_schedule_with_warmup

from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.losses import attention_mse, hidden_mse, soft_cross_entropy
from tangodistill.models.compress import compress
from tangodistill.models.load import HEADS, load_classifier, load_span_model
from tangodistill.models.probe import probe
from tangodistill.models.tinybert import (
    Sizes,
    check_narrower,
    check_teacher,
    checked_layers,
    random_student,
    student_from_checkpoint,
    student_from_layers,
)
from tangodistill.modules.class_weights import ClassWeights
from tangodistill.modules.classifier import ClassifierModule
from tangodistill.modules.frozen import frozen, lean_encoder, place_frozen
from tangodistill.modules.trained import TrainedModule
from tangodistill.user_error import UserError

COPIES = ("teacher", "compressed")
"""Starts that are made of the teacher's own layers."""


class TinyBertIntermediateModule(TrainedModule):
    """Stage 1: the student's embedding, layers and attention scores learn those of a frozen teacher.

    The loss is the sum, over the embedding and all student layers, of the squared error of the hidden states, and over
    the layers of that of the attention scores (Jiao et al. 2020, "TinyBERT", eq. 7 to 9), at equal weights. One learned
    linear map carries the student's embedding to the teacher's width, another the hidden states of all layers; they
    begin as the identity where the student begins with coordinates of the teacher. Both are thrown away at the end.
    The teacher runs beside the student, in eval mode, and is no part of any checkpoint; its answers are not used, and
    the head is not trained.

    Writes a folder for stage 2 (``TinyBertModule``) with the last weights; ``metrics.json`` holds the loss on the
    selection role. The learning rate is constant.

    Args:
        teacher: folder or hub name of the fine-tuned teacher, a BERT or RoBERTa.
        start: ``random``, ``teacher`` (copies ``start_layers``, where shapes are equal), ``compressed`` (cuts them to
            the student's width), or the folder or hub name of a student that shares the teacher's vocabulary, such as
            ``huawei-noah/TinyBERT_General_4L_312D``.
        layers: of the student.
        hidden: width of the student.
        heads: attention heads of the student, as many as the teacher's.
        intermediate: width inside the student's feed-forward layers.
        layer_map: for each student layer the teacher layer it learns from, counted from 1; by default evenly spaced,
            the last from the last.
        start_layers: for each student layer the teacher layer it is made from; by default as ``layer_map``.
        lr: learning rate of AdamW.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
        max_length: tokens read of a text; by default the task's length, or what holds 99 % of the training texts whole.
    """

    def __init__(
        self,
        teacher: str,
        start: str = "random",
        layers: int = 4,
        hidden: int = 312,
        heads: int = 12,
        intermediate: int = 1200,
        layer_map: list[int] | None = None,
        start_layers: list[int] | None = None,
        lr: float = 5e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.0,
        max_length: int | None = None,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.teacher, self.start = teacher, start
        self.sizes = Sizes(layers, hidden, heads, intermediate)
        self.layer_map, self.start_layers, self.longest = layer_map, start_layers, max_length

    def setup(self, stage: str) -> None:
        if stage != "fit":
            raise UserError("TinyBERT's stage 1 trains no head, so it has no answers; only 'fit' it, then stage 2.")
        self.build(self.task.label_names, self.task.max_length)

    def build(self, label_names: Sequence[str], max_length: int | None) -> None:
        """Teacher, student and linear maps, for texts of ``max_length`` tokens where the module names no other length.

        Without label names, teacher and student are models that mark answers in contexts.

        Raises:
            UserError: a teacher, layer map, size or start that does not fit the others.
        """
        folder = str(resolve(self.teacher))
        teacher, _ = load_classifier(folder, label_names) if label_names else load_span_model(folder)
        self.tokenizer = load_tokenizer(folder)
        check_teacher(teacher, self.sizes.num_attention_heads)
        depth = (self.sizes.num_hidden_layers, teacher.config.num_hidden_layers)
        self.layer_map = checked_layers("layer_map", self.layer_map, *depth)
        self.model, kept = self._new_student(teacher, label_names)
        self.max_length = self.reading_length(self.longest or max_length, teacher, self.model)
        self.embedding_map = linear_map(self.sizes.hidden_size, teacher.config.hidden_size, kept)
        self.hidden_map = linear_map(self.sizes.hidden_size, teacher.config.hidden_size, kept)
        for name, parameter in self.model.named_parameters():  # nothing of the loss reaches the head
            parameter.requires_grad = not any(part in name for part in ("pooler", *HEADS))
        for layer in self.model.modules():  # the targets are fixed, and drawing masks is a sixth of a step's time
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        self.frozen = frozen(lean_encoder(teacher, self.layer_map[-1]))

    def _new_student(self, teacher: PreTrainedModel, names: Sequence[str]) -> tuple[PreTrainedModel, Tensor | None]:
        """The student at its start, and which of the teacher's coordinates it begins with, if it does."""
        if self.start not in COPIES and self.start_layers:
            raise UserError(
                f"model.start_layers are taken with model.start 'teacher' or 'compressed', but start is {self.start!r}."
            )
        if self.start == "random":
            return random_student(teacher, self.sizes, names), None
        if self.start in COPIES:
            depth = (self.sizes.num_hidden_layers, teacher.config.num_hidden_layers)
            layers = checked_layers("start_layers", self.start_layers or self.layer_map, *depth)
            if self.start == "teacher":
                return student_from_layers(teacher, self.sizes, names, layers), torch.arange(self.sizes.hidden_size)
            check_narrower(teacher, self.sizes)
            student = random_student(teacher, self.sizes, names)
            return student, compress(teacher.base_model, student.base_model, layers)
        student = student_from_checkpoint(str(resolve(self.start)), teacher, self.sizes, names)
        check_vocabulary(self.start, self.tokenizer, teacher.config.model_type)
        return student, None

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.place_teacher()

    def place_teacher(self) -> None:
        place_frozen(self.frozen[0], self.device)

    def losses(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The loss of the hidden states, and that of the attention scores."""
        inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
        mask = batch["attention_mask"]
        with self.autocast():
            with torch.no_grad():
                teacher = probe(self.frozen[0], inputs, self.layer_map)
            student = probe(self.model.base_model, inputs, range(1, self.sizes.num_hidden_layers + 1))
            mapped = [self.embedding_map(student.hidden[0]), *map(self.hidden_map, student.hidden[1:])]
        hidden = sum(hidden_mse(s, t, mask) for s, t in zip(mapped, teacher.hidden, strict=True))
        attention = sum(attention_mse(s, t, mask) for s, t in zip(student.scores, teacher.scores, strict=True))
        return hidden, attention

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        hidden, attention = self.losses(batch)
        loss = hidden + attention
        self.log_dict({"train/hidden": hidden, "train/attention": attention})
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        loss = sum(self.losses(batch))
        self.log("val/loss", loss, prog_bar=True, sync_dist=True, batch_size=len(batch["input_ids"]))

    test_step = validation_step  # without one Lightning would refuse in its own words, before ``setup`` does

    def schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        return get_constant_schedule_with_warmup(optimizer, int(self.warmup_fraction * steps))

    def configure_callbacks(self) -> list[Callback]:
        return [self.last_checkpoint()]

    def kept_scores(self) -> dict[str, Any]:
        """The last weights are kept, whatever their loss."""
        loss = self.trainer.callback_metrics.get("val/loss")
        return {} if loss is None else {"loss": float(loss)}


class TinyBertModule(ClassifierModule):
    """Stage 2: the student learns the teacher's answers from the logits stored with the transfer set.

    Soft cross-entropy (Jiao et al. 2020, "TinyBERT", eq. 10); the weights that score best on the selection role are
    kept.

    Args:
        pretrained: folder that stage 1 (``TinyBertIntermediateModule``) wrote, or any other classifier or encoder.
        temperature: of the soft cross-entropy.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
        max_length: tokens read of a text; by default the task's length, or what holds 99 % of the training texts whole.
        class_weights: what a row's loss counts, by the teacher's answer: ``balanced``, or a weight by label name.
    """

    def __init__(
        self,
        pretrained: str,
        temperature: float = 1.0,
        lr: float = 3e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        max_length: int | None = None,
        class_weights: ClassWeights | None = None,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.class_weights = class_weights
        self.pretrained, self.temperature, self.longest = pretrained, temperature, max_length

    def setup(self, stage: str) -> None:
        folder = str(resolve(self.pretrained)) if stage == "fit" else str(self.root)
        self.model, _ = load_classifier(folder, self.task.label_names)
        self.model.train()  # from_pretrained leaves dropout off
        self.tokenizer = load_tokenizer(folder)
        self.max_length = self.reading_length(self.longest, self.model)
        config = self.model.config
        self.follow_task([config.id2label[i] for i in range(config.num_labels)])

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        with self.autocast():
            logits = self(batch)
        teacher = batch["teacher_logits"]
        loss = soft_cross_entropy(logits, teacher, self.temperature, self.weights_of(teacher.argmax(1)))
        self.log("train/loss", loss, prog_bar=True)
        return loss


def check_vocabulary(start: str, tokenizer: PreTrainedTokenizerBase, family: str) -> None:
    """
    Raises:
        UserError: where the tokens of the model ``start`` are not those of the teacher's tokenizer.
    """
    # the family stands in for a config.json without model_type
    own = AutoTokenizer.from_pretrained(str(resolve(start)), tokenizer_type=family, trust_remote_code=False).get_vocab()
    if own != tokenizer.get_vocab():
        raise UserError(
            f"{start}: its tokenizer has {len(own)} tokens, not the teacher's {len(tokenizer)}. A student reads its "
            "teacher's tokens: start from a model with the same vocabulary, its tokenizer's files beside its weights."
        )


def linear_map(width: int, teacher_width: int, kept: Tensor | None) -> nn.Linear:
    """From the student's width to the teacher's; at first each coordinate to the one it was ``kept`` from, if any."""
    layer = nn.Linear(width, teacher_width)
    if kept is not None:
        with torch.no_grad():
            layer.weight.copy_(torch.eye(teacher_width)[:, kept])
            layer.bias.zero_()
    return layer

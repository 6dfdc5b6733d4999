"""TinyBERT students: an encoder of the teacher's family with fewer, narrower layers, and what each layer learns from.

Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding", §3.1: student layer m learns from
teacher layer g(m); for 4 layers of 12, g(m) = 3m.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from safetensors import SafetensorError
from transformers import PretrainedConfig, PreTrainedModel

from tangodistill.models.layers import check_rising, evenly_spaced, renumbered
from tangodistill.models.load import read_weights
from tangodistill.user_error import UserError

FAMILIES = ("bert", "roberta")


@dataclass(frozen=True)
class Sizes:
    """A student's shape, by the names that transformers' configs give to it."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> Sizes:
        return cls(**{name: getattr(config, name) for name in cls.__dataclass_fields__})

    def __str__(self) -> str:
        return (
            f"{self.num_hidden_layers} layers, hidden {self.hidden_size}, heads {self.num_attention_heads}, "
            f"intermediate {self.intermediate_size}"
        )


def checked_layers(name: str, chosen: Sequence[int] | None, layers: int, teacher_layers: int) -> list[int]:
    """``chosen`` if it names one teacher layer for each student layer, evenly spaced ones where it is None.

    Raises:
        UserError: names what is wrong with it.
    """
    if layers > teacher_layers:
        raise UserError(
            f"the student has {layers} layers, but the teacher only {teacher_layers}; choose a smaller model.layers."
        )
    if chosen is None:
        return evenly_spaced(layers, teacher_layers)
    if len(chosen) != layers:
        raise UserError(
            f"model.{name} has {len(chosen)} entries ({list(chosen)}), but the student has {layers} layers; "
            "give one teacher layer for each student layer."
        )
    check_rising(f"model.{name}", chosen, teacher_layers, "the teacher's")
    return list(chosen)


def check_teacher(teacher: PreTrainedModel, heads: int) -> None:
    """
    Raises:
        UserError: where its layers can't be read, or its attention scores can't be compared with the student's.
    """
    config = teacher.config
    if config.model_type not in FAMILIES:
        raise UserError(
            f"the teacher is a {config.model_type} model; TinyBERT learns from these: {', '.join(FAMILIES)}."
        )
    if config.num_attention_heads != heads:
        raise UserError(
            f"the student has {heads} attention heads, but the teacher {config.num_attention_heads}. Their scores are "
            f"compared head by head: set model.heads to {config.num_attention_heads}."
        )


def check_narrower(teacher: PreTrainedModel, sizes: Sizes) -> None:
    """
    Raises:
        UserError: where a student is somewhere wider than the teacher that it is to be cut from.
    """
    own = Sizes.of(teacher.config)
    if sizes.hidden_size > own.hidden_size or sizes.intermediate_size > own.intermediate_size:
        raise UserError(
            f"start 'compressed' cuts the teacher down, but the student is wider: the teacher has {own}; the student "
            f"{sizes}. Set model.hidden and model.intermediate to the teacher's or less, or start otherwise."
        )


def random_student(teacher: PreTrainedModel, sizes: Sizes, label_names: Sequence[str]) -> PreTrainedModel:
    """A model of the teacher's class with random weights, in train mode.

    Raises:
        UserError: where the hidden size is no multiple of the heads.
    """
    if sizes.hidden_size % sizes.num_attention_heads:
        raise UserError(
            f"model.hidden is {sizes.hidden_size}, which is no multiple of model.heads ({sizes.num_attention_heads})."
        )
    config = copy.deepcopy(teacher.config)
    config._attn_implementation = "sdpa"
    config.update(asdict(sizes))
    _name_labels(config, label_names)
    return type(teacher)._from_config(config, dtype=torch.float32).train()


def student_from_layers(
    teacher: PreTrainedModel, sizes: Sizes, label_names: Sequence[str], start_layers: Sequence[int]
) -> PreTrainedModel:
    """A student that starts with the teacher's embedding, its layers ``start_layers`` (from 1) and its pooler.

    Raises:
        UserError: where the layers' shapes differ.
    """
    own = Sizes.of(teacher.config)
    wanted = Sizes(own.num_hidden_layers, sizes.hidden_size, sizes.num_attention_heads, sizes.intermediate_size)
    if own != wanted:
        raise UserError(
            f"start 'teacher' copies layers, so their shapes must be the same: the teacher has {own}; the student "
            f"{sizes}. Set model.hidden, model.heads and model.intermediate to the teacher's, or start otherwise."
        )
    student = random_student(teacher, sizes, label_names)
    weights = teacher.base_model.state_dict()
    student.base_model.load_state_dict(renumbered(weights, "encoder.layer.", start_layers))
    return student


def student_from_checkpoint(
    start: str, teacher: PreTrainedModel, sizes: Sizes, label_names: Sequence[str]
) -> PreTrainedModel:
    """A student whose encoder is a checkpoint's, such as a general-distilled TinyBERT; in train mode.

    Its config.json may lack ``model_type``, as that of huawei-noah/TinyBERT_General_4L_312D does.

    Args:
        start: model folder or hub name; weights are read from safetensors only.

    Raises:
        UserError: where it can't be read, or differs from the teacher's family, vocabulary or the student's sizes.
    """
    family = teacher.config.model_type
    try:
        values, _ = PretrainedConfig.get_config_dict(start)
        config = type(teacher.config).from_dict({"model_type": family, **values})
    except (OSError, ValueError) as error:
        raise UserError(_unreadable(start, error)) from error
    if values.get("model_type", family) != family:
        raise UserError(f"{start} is a {values['model_type']} model, but the teacher a {family} model.")
    if config.vocab_size != teacher.config.vocab_size:
        raise UserError(
            f"{start} has a vocabulary of {config.vocab_size} tokens, but the teacher one of "
            f"{teacher.config.vocab_size}; a student reads its teacher's tokens: start from one that does."
        )
    if Sizes.of(config) != sizes:
        raise UserError(
            f"{start} has {Sizes.of(config)}, but the student is to have {sizes}. "
            "Set model.layers, model.hidden, model.heads and model.intermediate to the checkpoint's."
        )
    _name_labels(config, label_names)
    try:
        student, loading = read_weights(start, config, type(teacher))
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(_unreadable(start, error)) from error
    absent = [*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])]
    missing = sorted(key for key in absent if ".embeddings." in key or ".encoder." in key)
    if missing:
        raise UserError(f"{start}: its weights lack {missing[0]} and {len(missing) - 1} more, so it is no {family}.")
    return student.train()


def _name_labels(config: PretrainedConfig, names: Sequence[str]) -> None:
    if not names:  # a span model's two outputs have none
        return
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}


def _unreadable(start: str, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return (
        f"no student can start from {start!r}: {reason}. Give a folder with config.json and model.safetensors, a hub "
        "name while the hub can be reached, or start 'random', 'teacher' or 'compressed'."
    )

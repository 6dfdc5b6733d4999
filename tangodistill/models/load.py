"""Loading any sequence classifier or span model, and telling a trained head from a new one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from tangodistill.user_error import UserError

HEADS = ("classifier", "score", "qa_outputs")
"""In the names of the weights of a head."""


def load_classifier(name_or_folder: str, label_names: Sequence[str] | None = None) -> tuple[PreTrainedModel, bool]:
    """A sequence classifier in float32, and whether its head is new (the checkpoint held an encoder only).

    Args:
        name_or_folder: model folder or hub name; weights are read from safetensors only.
        label_names: classes of a new head, in the order of the label ids.

    Raises:
        UserError: where the model can't be found or read, with what to do instead.
    """
    config = load_config(name_or_folder)
    if not is_classifier(config) and label_names:
        config.id2label = dict(enumerate(label_names))
        config.label2id = {name: i for i, name in enumerate(label_names)}
    return _load(name_or_folder, config, AutoModelForSequenceClassification, "sequence classifier")


def load_span_model(name_or_folder: str) -> tuple[PreTrainedModel, bool]:
    """A model that marks an answer's start and end, in float32, and whether its head is new.

    Raises:
        UserError: where the model can't be found or read, with what to do instead.
    """
    what = "question-answering model"
    return _load(name_or_folder, load_config(name_or_folder, what), AutoModelForQuestionAnswering, what)


def _load(name_or_folder: str, config: PretrainedConfig, auto_class: type, what: str) -> tuple[PreTrainedModel, bool]:
    try:
        model, missing = read_weights(name_or_folder, config, auto_class)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(_why_not(name_or_folder, error, what)) from error
    except SafetensorError as error:  # truncated
        raise UserError(f"{name_or_folder}: model.safetensors can't be read ({error}). Copy the file again.") from error
    return model, any(part in key for key in missing for part in HEADS)


def read_weights(
    name_or_folder: str, config: PretrainedConfig, auto_class: type = AutoModelForSequenceClassification
) -> tuple[PreTrainedModel, set[str]]:
    """A model in float32, read from safetensors only, and which weights the checkpoint lacks."""
    with quietly(name_or_folder):
        model, loading = auto_class.from_pretrained(
            name_or_folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    return model, set(loading["missing_keys"])


def load_config(name_or_folder: str, what: str = "sequence classifier") -> PretrainedConfig:
    """A model's config.json.

    Raises:
        UserError: where there is none, or none that can be read, with what to do instead.
    """
    try:
        return AutoConfig.from_pretrained(name_or_folder)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(_why_not(name_or_folder, error, what)) from error


def is_classifier(config: PretrainedConfig) -> bool:
    """Whether the config is that of a sequence classifier, head included."""
    return any(name.endswith("ForSequenceClassification") for name in config.architectures or ())


def has_head(config: PretrainedConfig) -> bool:
    """Whether the config is that of a model which answers: a sequence classifier, or one that marks spans."""
    return is_classifier(config) or any(name.endswith("ForQuestionAnswering") for name in config.architectures or ())


@contextmanager
def quietly(name_or_folder: str | Path) -> Iterator[None]:
    """Without transformers' bars over local files and its report of missing weights, which callers tell in words."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if Path(name_or_folder).is_dir():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _why_not(name_or_folder: str, error: Exception, what: str = "sequence classifier") -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if reason.startswith("Repo id must"):  # what the hub's client makes of a path that is not there
        reason = "no such folder, and no name that the hub could have"
    return (
        f"no {what} could be loaded from {name_or_folder!r}: {reason}. "
        "Give a folder with config.json and model.safetensors, or a hub name while the hub can be reached."
    )

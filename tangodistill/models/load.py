"""Loading any sequence classifier or span model, and telling a trained head from a new one."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from tangodistill.data.hub_access import spare_the_wait
from tangodistill.models.checkpoint import check_files, check_fit, check_kind
from tangodistill.progress import Progress, on_terminal
from tangodistill.user_error import UserError

HEADS = ("classifier", "score", "qa_outputs")
"""In the names of the weights of a head."""
CLASSIFIER = "ForSequenceClassification"
"""How the names of classifiers end."""


def load_classifier(
    name_or_folder: str, label_names: Sequence[str] | None = None, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, bool]:
    """A sequence classifier in float32, and whether its head is new (the checkpoint held an encoder only).

    Args:
        name_or_folder: model folder or hub name; weights are read from safetensors only.
        label_names: classes of a new head, in the order of the label ids.
        trust_remote_code: run the Python files that the folder brings along, where its config.json asks for it.

    Raises:
        UserError: where the model can't be found or read, with what to do instead.
    """
    config = load_config(name_or_folder, trust_remote_code=trust_remote_code)
    config.id2label = {i: str(name).strip() for i, name in config.id2label.items()}  # as the data's labels are read
    kind = AutoModelForSequenceClassification, "sequence classifier", trust_remote_code
    told = bool(config.architectures)
    if told and not is_classifier(config):
        _name_labels(config, label_names)
    model, new_head = _load(name_or_folder, config, *kind)
    if new_head and not told:  # only the weights tell
        _name_labels(config, label_names)
        return _load(name_or_folder, config, *kind)
    return model, new_head


def with_head_for(model: PreTrainedModel, label_names: Sequence[str]) -> tuple[PreTrainedModel, bool]:
    """A classifier of these classes, and whether its head is new: that of other classes gives way, the encoder stays.

    A model whose encoder can't be told from its head, such as the BiLSTM, is handed back as it is.
    """
    own = sorted(model.config.id2label.values())
    if own == sorted(label_names) or type(model.base_model).__name__.endswith(CLASSIFIER):
        return model, False
    config = copy.deepcopy(model.config)
    _name_labels(config, label_names)
    config.problem_type = None  # a regression's would make pipelines give raw logits
    fresh = type(model)._from_config(config, dtype=torch.float32)
    fresh.base_model.load_state_dict(model.base_model.state_dict())
    return fresh, True


def load_span_model(name_or_folder: str, trust_remote_code: bool = False) -> tuple[PreTrainedModel, bool]:
    """A model that marks an answer's start and end, in float32, and whether its head is new.

    Args: as of `load_classifier`.

    Raises:
        UserError: where the model can't be found or read, with what to do instead.
    """
    what = "question-answering model"
    config = load_config(name_or_folder, what, trust_remote_code)
    return _load(name_or_folder, config, AutoModelForQuestionAnswering, what, trust_remote_code)


def _name_labels(config: PretrainedConfig, label_names: Sequence[str] | None) -> None:
    if label_names:
        config.id2label = dict(enumerate(label_names))
        config.label2id = {name: i for i, name in enumerate(label_names)}


def _load(
    name_or_folder: str, config: PretrainedConfig, auto_class: type, what: str, trust_remote_code: bool
) -> tuple[PreTrainedModel, bool]:
    check_kind(name_or_folder, config)
    if Path(name_or_folder).is_dir():
        check_files(Path(name_or_folder))
    try:
        model, loading = read_weights(name_or_folder, config, auto_class, trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise UserError(_why_not(name_or_folder, error, what)) from error
    check_fit(name_or_folder, model, loading)
    return model, bool(loading["missing_keys"])  # all that may be missing is the head


def read_weights(
    name_or_folder: str,
    config: PretrainedConfig,
    auto_class: type = AutoModelForSequenceClassification,
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model in float32, read from safetensors only, and which weights the checkpoint lacks or has otherwise."""
    with quietly(name_or_folder):
        model, loading = auto_class.from_pretrained(
            name_or_folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True,
            ignore_mismatched_sizes=True, trust_remote_code=trust_remote_code,
        )  # fmt: skip
    return model, loading


def load_config(
    name_or_folder: str, what: str = "sequence classifier", trust_remote_code: bool = False
) -> PretrainedConfig:
    """A model's config.json.

    Raises:
        UserError: where there is none, or none that can be read, with what to do instead.
    """
    spare_the_wait(name_or_folder)
    try:
        return AutoConfig.from_pretrained(name_or_folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(_why_not(name_or_folder, error, what)) from error


def read_config(name_or_folder: str) -> PretrainedConfig:
    """What config.json says, whether or not anything here knows such a model.

    Raises:
        UserError: as `load_config`.
    """
    spare_the_wait(name_or_folder)
    try:
        found, _ = PretrainedConfig.get_config_dict(name_or_folder)
        if not found:
            raise OSError("it holds no config.json")
        return PretrainedConfig.from_dict(found)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(_why_not(name_or_folder, error)) from error


def is_classifier(config: PretrainedConfig) -> bool:
    """Whether the config is that of a sequence classifier, head included."""
    return any(name.endswith(CLASSIFIER) for name in config.architectures or ())


def has_head(config: PretrainedConfig) -> bool:
    """Whether the config is that of a model which answers: a sequence classifier, or one that marks spans."""
    return is_classifier(config) or any(name.endswith("ForQuestionAnswering") for name in config.architectures or ())


@contextmanager
def quietly(name_or_folder: str | Path) -> Iterator[None]:
    """Without transformers' bars over local files and its report of missing weights, which callers tell in words."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    local = Path(name_or_folder).is_dir()
    if local:
        logging.disable_progress_bar()
    fetched = nullcontext() if local or on_terminal() else Progress(f"fetch {name_or_folder}")
    try:
        with fetched:
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _why_not(name_or_folder: str, error: Exception, what: str = "sequence classifier") -> str:
    if "trust_remote_code" in str(error):  # transformers asks for this argument
        return (
            f"{name_or_folder} brings Python files of its own (auto_map in config.json), which are not run unasked. "
            "Where you have read and trust them, a teacher runs them with `model.trust_remote_code: true` of its stage "
            "and `--trust_remote_code true` of `label`; a tier of a cascade never does."
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if reason.startswith("Repo id must"):  # what the hub's client makes of a path that is not there
        reason = "no such folder, and no name that the hub could have"
    return (
        f"no {what} could be loaded from {name_or_folder!r}: {reason}. "
        "Give a folder with config.json and model.safetensors, or a hub name while the hub can be reached."
    )

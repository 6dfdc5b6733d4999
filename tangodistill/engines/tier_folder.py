"""A tier's folder on disk: config.json, safetensors weights, tokenizer.json; checked before it is loaded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import tangodistill.models  # noqa: F401 (registers the students' classes)
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models.checkpoint import check_files, check_fit, check_kind
from tangodistill.models.load import read_weights
from tangodistill.models.pairing import pair_up
from tangodistill.user_error import UserError


def load_tier(folder: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model in fp32 and eval mode, and its tokenizer. Weights come from safetensors only: no pickle is opened.

    Raises:
        UserError: a file that is missing or can't be read, or weights that don't fill the model; names the file.
    """
    folder = Path(folder)
    auto_class, what = _head_of(_read_config(folder))
    check_files(folder)
    if not (folder / "tokenizer.json").is_file():
        raise UserError(
            f"{folder / 'tokenizer.json'} is missing. "
            f"Write it with AutoTokenizer.from_pretrained(...).save_pretrained({str(folder)!r})."
        )
    with _told(folder, what):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    check_kind(str(folder), config)
    with _told(folder, what):
        model, loading = read_weights(str(folder), config, auto_class)
    check_fit(str(folder), model, loading)
    missing = sorted(loading["missing_keys"])
    if missing:  # transformers fills these with random numbers
        raise UserError(
            f"{folder}: the weights lack {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}. "
            f"A tier is a fine-tuned {what}; train its head first (stage teacher or student)."
        )
    tokenizer = load_tokenizer(folder)
    pair_up(model, tokenizer)
    return model.eval(), tokenizer


@contextmanager
def _told(folder: Path, what: str) -> Iterator[None]:
    """What transformers says against a folder, as one error."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        if "trust_remote_code" in str(error):  # transformers asks for this argument
            raise UserError(
                f"{folder} brings Python files of its own (auto_map in config.json); a tier never runs any. "
                "Take a model that transformers itself knows."
            ) from error
        raise UserError(f"{folder} holds no usable {what}: {_first_line(error)}") from error


def _head_of(config: dict) -> tuple[type, str]:
    """The Auto class of a config.json's model, and what it is called."""
    if any(name.endswith("ForQuestionAnswering") for name in config.get("architectures") or ()):
        return AutoModelForQuestionAnswering, "question-answering model"
    return AutoModelForSequenceClassification, "sequence classifier"


def _read_config(folder: Path) -> dict:
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder. A tier is a folder with config.json, model.safetensors and tokenizer.json."
        )
    path = folder / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing. A tier is a folder written by save_pretrained.") from None
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON ({_first_line(error)}). Save the model again, or copy the file again."
        ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__

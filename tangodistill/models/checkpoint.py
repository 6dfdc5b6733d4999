"""Whether a checkpoint's weights are those that its config.json describes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import PretrainedConfig, PreTrainedModel

from tangodistill.user_error import UserError

BITS = {"load_in_8bit": "8 bits", "load_in_4bit": "4 bits"}
WHOLE = ("F64", "F32", "F16", "BF16", "I64", "I32", "BOOL")  # as safetensors calls what is not quantised
OTHER_HEADS = {
    "ForTokenClassification": "labels tokens",
    "ForMultipleChoice": "chooses among several texts",
    "ForImageClassification": "labels images",
    "ForAudioClassification": "labels sounds",
}
"""What models do whose heads have weights of a classifier's names, and another meaning."""


def check_kind(source: str, config: PretrainedConfig) -> None:
    """
    Raises:
        UserError: the config is of a quantised model, or of one whose head means something else.
    """
    method = getattr(config, "quantization_config", None) or getattr(config, "compression_config", None)
    if method:
        settings = method if isinstance(method, Mapping) else method.to_dict()
        bits = next((text for key, text in BITS.items() if settings.get(key)), None)
        bits = bits or (f"{settings['bits']} bits" if settings.get("bits") else "a quantised form")
        raise UserError(_quantised(source, f"{bits} ({settings.get('quant_method', 'unnamed method')})"))
    for name in config.architectures or ():
        for ending, what in OTHER_HEADS.items():
            if name.endswith(ending):
                raise UserError(
                    f"{source} holds a {name}, which {what}. A tier is a sequence classifier; to train one on its "
                    "encoder, save the encoder alone: model.base_model.save_pretrained(FOLDER)."
                )
    if getattr(config, "problem_type", None) == "multi_label_classification":
        raise UserError(
            f"{source} gives any number of labels to a text (problem_type multi_label_classification in its "
            "config.json); a tier gives exactly one."
        )


def check_files(folder: Path) -> None:
    """That a local folder holds a whole model with its weights in safetensors.

    Raises:
        UserError: an adapter alone, weights in another format only, cut off, or quantised; says what to do.
    """
    paths = sorted(folder.glob("*.safetensors"))
    whole = any(path.name.startswith("model") for path in paths)
    if not whole and (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{folder} holds an adapter (PEFT) without the model that it belongs to. Merge the two, "
            "model.merge_and_unload().save_pretrained(FOLDER), and give that folder."
        )
    if not whole:
        others = sorted(path.name for path in (*folder.glob("*.bin"), *folder.glob("*.h5"), *folder.glob("*.msgpack")))
        raise UserError(
            f"{folder / 'model.safetensors'} is missing (found {', '.join(others) or 'no weights'}). Only safetensors "
            "are read; convert other weights with model.save_pretrained(folder) where they are trusted."
        )
    for path in paths:
        try:
            with safe_open(path, "pt") as weights:
                kinds = {weights.get_slice(name).get_dtype(): name for name in weights.keys()}  # noqa: SIM118
        except SafetensorError as error:
            reason = str(error).strip() or type(error).__name__
            raise UserError(f"{path} is cut off or damaged ({reason}). Copy the file again.") from error
        for kind, name in kinds.items():
            if kind not in WHOLE:
                raise UserError(_quantised(str(folder), f"a quantised form ({name} is {kind})"))


def check_fit(source: str, model: PreTrainedModel, loading: Mapping[str, Any]) -> None:
    """That the weights fill the model: all but a head, and what belongs to it, which may be missing as a whole.

    Args:
        loading: what `from_pretrained` says of it (`output_loading_info`).

    Raises:
        UserError: shapes that differ, weights that are missing, or layers that the config doesn't have.
    """
    for key, stored, wanted in sorted(loading["mismatched_keys"], key=lambda each: not _in_base(each[0], model)):
        if not _in_base(key, model) and stored[0] != wanted[0] == model.config.num_labels:
            raise UserError(
                f"{source}: config.json names {wanted[0]} labels, but the weights have {stored[0]} ({key}). "
                "Correct id2label in config.json, or save the model again."
            )
        raise UserError(
            f"{source}: {key} is {tuple(stored)} in the weights, but config.json asks for {tuple(wanted)}. "
            "Both must be of one model: save it again."
        )
    missing = sorted(key for key in loading["missing_keys"] if _in_base(key, model) and "pooler" not in key)
    if missing:  # transformers fills these with random numbers
        shown = f"{', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}"
        raise UserError(f"{source}: the weights lack {shown}, which config.json asks for. Save the model again.")
    own = {_unnumbered(key) for key in model.state_dict()}
    beyond = sorted(key for key in loading["unexpected_keys"] if _unnumbered(key) != key and _unnumbered(key) in own)
    if beyond:
        raise UserError(
            f"{source}: the weights hold {beyond[0]}, a layer more than config.json has. Both must be of one model: "
            "save it again."
        )


def _in_base(key: str, model: PreTrainedModel) -> bool:
    """Whether a weight is the encoder's; a model without an encoder of its own has no other weights."""
    return not hasattr(model, model.base_model_prefix) or key.startswith(f"{model.base_model_prefix}.")


def _unnumbered(key: str) -> str:
    """
    >>> _unnumbered("encoder.layer.12.output.weight")
    'encoder.layer.#.output.weight'
    """
    return re.sub(r"\.\d+\.", ".#.", key)


def _quantised(source: str, how: str) -> str:
    return (
        f"{source} is stored in {how}, which can't be loaded here, nor trained. Give the model as it was before it was "
        "quantised: tangodistill makes int8 formats itself (verb export)."
    )

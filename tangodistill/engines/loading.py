"""The engine of a tier folder, by its name and precision; just the library that it runs on is imported."""

from collections.abc import Sequence
from pathlib import Path

from tangodistill.engines.engine import Engine
from tangodistill.engines.tier_record import TierRecord
from tangodistill.user_error import UserError

PRECISIONS = {
    "torch": ("fp32", "bf16"),
    "onnxruntime": ("fp32", "int8", "int8_static"),
    "openvino": ("fp32", "bf16", "int8_static"),
}
"""Of each engine. `int8` takes its ranges from the batch at hand, `int8_static` from calibration texts."""
BATCH_DEPENDENT = ("int8",)


def load_engine(
    folder: str | Path,
    name: str,
    precision: str,
    max_length: int | None = None,
    threads: int | None = None,
    length_configuration: Sequence[float] | None = None,
) -> Engine:
    """The engine of a tier folder; imports just the library that it runs on.

    Args: `length_configuration` of a Dynamic-TinyBERT, None for the folder's own; others as of `Engine.load`.

    Raises:
        UserError: no such engine, precision or length configuration; a file is missing or damaged; names it.
    """
    refuse_unknown(folder, name, precision)
    if name == "torch":
        from tangodistill.engines.torch_engine import TorchEngine as chosen
    elif name == "onnxruntime":
        from tangodistill.engines.onnx_engine import OnnxEngine as chosen
    else:
        from tangodistill.engines.openvino_engine import OpenVinoEngine as chosen
    return chosen.load(folder, precision, max_length, threads, length_configuration)


def refuse_unknown(folder: str | Path, name: str, precision: str) -> None:
    """Raises UserError for an engine or precision that there is none of."""
    if precision not in PRECISIONS.get(name, ()):
        known = ", ".join(f"{engine}-{kind}" for engine, kinds in PRECISIONS.items() for kind in kinds)
        raise UserError(f"{folder}: no engine {name}-{precision}; known: {known}.")


def recorded_engine(folder: str | Path, tier: TierRecord) -> Engine:
    """The engine of a cascade folder's tier, as its record says.

    Raises:
        UserError: as `load_engine`.
    """
    settings = tier.engine, tier.precision, tier.max_length, tier.threads, tier.length_configuration
    return load_engine(Path(folder) / tier.path, *settings)

"""A tier's model as ONNX graphs of free batch size and length: fp32, int8, and int8 with ranges fixed in advance."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from transformers import PreTrainedModel

from tangodistill.engines.exported import GRAPH_OF
from tangodistill.models.outputs import tier_outputs
from tangodistill.models.positions import position_limit
from tangodistill.user_error import UserError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 18


class _Outputs(torch.nn.Module):
    """A tier from positional token arrays to one plain tensor."""

    def __init__(self, model: PreTrainedModel, names: list[str]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        return tier_outputs(self.model(**dict(zip(self.names, arrays, strict=True))))


def write_graphs(
    model: PreTrainedModel,
    inputs: dict[str, np.ndarray],
    ranges: Iterable[dict[str, np.ndarray]],
    folder: Path,
    precisions: set[str],
) -> dict[str, str]:
    """The graphs of some precisions; precision -> why it can't be written, of those that can't.

    Args:
        model, inputs, folder: as of `write_fp32`.
        ranges: batches that static int8 reads its ranges off.
    """
    failed: dict[str, str] = {}
    with _noting(failed, precisions):
        fp32 = write_fp32(model, inputs, folder)
        if "int8" in precisions:
            with _noting(failed, {"int8"}):
                write_int8(fp32)
        if "int8_static" in precisions:
            with _noting(failed, {"int8_static"}):
                write_int8_static(fp32, ranges)
    return failed


@contextmanager
def _noting(failed: dict[str, str], precisions: set[str]) -> Iterator[None]:
    """Keeps the reason where the exporter doesn't know something of the architecture."""
    try:
        yield
    except Exception as error:
        failed |= dict.fromkeys(precisions, f"can't be written ({first_cause(error)})")


def first_cause(error: Exception) -> str:
    """The first line of what it all began with; exporters and engines put much around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def write_fp32(model: PreTrainedModel, inputs: dict[str, np.ndarray], folder: Path) -> Path:
    """The model's own arithmetic as a graph.

    Args:
        model: fp32, in eval mode.
        inputs: an example batch, (2 or more, length of 3 or more) int64 each; its keys are what the graph reads.
        folder: where to write.

    Raises:
        UserError: the exporter fixed the batch size or the length.
    """
    path = folder / GRAPH_OF["fp32"]
    names = [name for name in INPUTS if name in inputs]
    arguments = {
        "args": tuple(torch.from_numpy(inputs[name]) for name in names),
        "f": str(path),
        "input_names": names,
        "output_names": ["logits"],
        "opset_version": OPSET,
        "external_data": False,
        "verbose": False,
    }
    with _quiet(), torch.inference_mode(False), torch.no_grad():
        torch.onnx.export(_Outputs(model, names).eval(), **arguments, **_free_dimensions(model, names))
    _refuse_fixed(path)
    return path


def _free_dimensions(model: PreTrainedModel, names: list[str]) -> dict[str, Any]:
    """An exporter that leaves batch size and length free for this model: the newer one unrolls recurrent layers."""
    if any(isinstance(module, torch.nn.RNNBase) for module in model.modules()):
        return {"dynamo": False, "dynamic_axes": {name: {0: "batch", 1: "length"} for name in names}}
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=position_limit(model))}
    return {"dynamo": True, "dynamic_shapes": (tuple(free for _ in names),)}


def _refuse_fixed(path: Path) -> None:
    for node in onnx.load(path, load_external_data=False).graph.input:
        if any(not size.dim_param for size in node.type.tensor_type.shape.dim):
            raise UserError(f"{path}: the exporter fixed a dimension of {node.name}, so this model can't run in ONNX.")


def write_int8(fp32: Path) -> Path:
    """Weights in int8 for good, activations in the range of each batch: fast, but an answer depends on its batch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = fp32.with_name(GRAPH_OF["int8"])
    with _quiet():
        # a scale per output channel: with one per matrix three times as many labels change (MiniLM-L6, movie snippets)
        quantize_dynamic(
            fp32, path, weight_type=QuantType.QInt8, per_channel=True, extra_options={"MatMulConstBOnly": True}
        )
    return path


def write_int8_static(fp32: Path, batches: Iterable[dict[str, np.ndarray]]) -> Path:
    """Weights and activations of the matrix products in int8, with ranges seen on calibration batches."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    path = fp32.with_name(GRAPH_OF["int8_static"])
    with _quiet():
        quantize_static(
            fp32,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Gemm"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"MatMulConstBOnly": True},
        )
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' progress lines and notes on their own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

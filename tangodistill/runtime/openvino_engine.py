"""The OpenVINO engine: runs what `export` wrote, without PyTorch or transformers."""

import threading
from pathlib import Path
from typing import Self

import numpy as np
import openvino

from tangodistill.data.tokenize import TextEncoder
from tangodistill.runtime.engines import Engine, TierFacts, available_cores
from tangodistill.runtime.exported import read_exported
from tangodistill.user_error import UserError

HINT_OF = {"fp32": "f32", "bf16": "bf16", "int8_static": "f32"}
"""Precision of what is not quantised: OpenVINO takes a lower one by itself where it isn't told."""


class OpenVinoEngine(Engine):
    """One tier, run by OpenVINO in fp32, bf16 or int8_static."""

    name = "openvino"

    def __init__(
        self,
        compiled: openvino.CompiledModel,
        facts: TierFacts,
        encoder: TextEncoder,
        precision: str,
        threads: int | None = None,
    ):
        super().__init__(facts, encoder, precision, threads)
        self._compiled = compiled
        self._names = [node.get_any_name() for node in compiled.inputs]
        self._own = threading.local()  # a request serves one thread at a time

    @classmethod
    def load(
        cls,
        folder: str | Path,
        precision: str = "fp32",
        max_length: int | None = None,
        threads: int | None = None,
    ) -> Self:
        """The engine of a tier folder that was exported in this precision.

        Raises:
            UserError: a file is missing or damaged; names it.
        """
        facts, encoder, graph = read_exported(folder, precision, max_length)
        settings = {"INFERENCE_PRECISION_HINT": HINT_OF[precision], "NUM_STREAMS": 1}
        if threads:
            streams = max(1, available_cores() // threads)
            settings |= {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams * threads}
        try:
            compiled = openvino.Core().compile_model(str(graph), "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(f"{graph} cannot be read ({reason}). Run `python -m tangodistill export` again.") from error
        return cls(compiled, facts, encoder, precision, threads)

    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request = self._own.request
        request.infer({name: inputs[name] for name in self._names}, share_inputs=True)
        return request.get_output_tensor().data.copy()

"""The OpenVINO engine: runs what `export` wrote."""

import threading
from pathlib import Path

import numpy as np
import openvino

from tangodistill.runtime.exported import ExportedEngine

HINT_OF = {"fp32": "f32", "bf16": "bf16", "int8_static": "f32"}
"""Precision of what is not quantised: OpenVINO takes a lower one by itself where it isn't told."""


class OpenVinoEngine(ExportedEngine):
    """One tier, run by OpenVINO in fp32, bf16 or int8_static."""

    name = "openvino"

    def _open(self, graph: Path) -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": HINT_OF[self.precision],
            "NUM_STREAMS": self.passes_at_once,
            "INFERENCE_NUM_THREADS": self.passes_at_once * (self.threads or self.cores),
        }
        self._compiled = openvino.Core().compile_model(str(graph), "CPU", settings)
        self._names = [node.get_any_name() for node in self._compiled.inputs]
        self._own = threading.local()  # a request serves one thread at a time

    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request = self._own.request
        request.infer({name: inputs[name] for name in self._names}, share_inputs=True)
        return request.get_output_tensor().data.copy()

"""The OpenVINO engine: runs what `export` wrote."""

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import openvino

from tangodistill.engines.exported import ExportedEngine

HINT_OF = {"fp32": "f32", "bf16": "bf16", "int8_static": "f32"}
"""Precision of what is not quantised: OpenVINO takes a lower one by itself where it isn't told."""


class _Compiled:
    """A graph, ready to run, and the requests to run it by: each serves one thread at a time."""

    def __init__(self, graph: Path, settings: dict[str, str | int]):
        self.model = openvino.Core().compile_model(str(graph), "CPU", settings)
        self.names = [node.get_any_name() for node in self.model.inputs]
        self.idle: deque[openvino.InferRequest] = deque()

    def run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.model.create_infer_request()
        request.infer({name: inputs[name] for name in self.names}, share_inputs=True)
        outputs = request.get_output_tensor().data.copy()
        self.idle.append(request)
        return outputs


class OpenVinoEngine(ExportedEngine):
    """One tier, run by OpenVINO in fp32, bf16 or int8_static."""

    name = "openvino"

    def _opener(self, graph: Path) -> Callable[[], _Compiled]:
        settings = {
            "INFERENCE_PRECISION_HINT": HINT_OF[self.precision],
            "NUM_STREAMS": self.passes_at_once,
            "INFERENCE_NUM_THREADS": self.passes_at_once * (self.threads or self.cores),
        }
        return partial(_Compiled, graph, settings)

    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self._opened.get().run(inputs)

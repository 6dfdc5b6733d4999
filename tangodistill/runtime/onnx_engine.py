"""The ONNX Runtime engine: runs what `export` wrote."""

from pathlib import Path

import numpy as np
import onnxruntime

from tangodistill.runtime.exported import ExportedEngine


class OnnxEngine(ExportedEngine):
    """One tier, run by ONNX Runtime in fp32, int8 or int8_static."""

    name = "onnxruntime"

    def _open(self, graph: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads or self.cores
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self._names = [node.name for node in self._session.get_inputs()]

    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self._session.run(None, {name: inputs[name] for name in self._names})[0]

"""The ONNX Runtime engine: runs what `export` wrote."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from tangodistill.engines.exported import ExportedEngine


class OnnxEngine(ExportedEngine):
    """One tier, run by ONNX Runtime in fp32, int8 or int8_static."""

    name = "onnxruntime"

    def _opener(self, graph: Path) -> Callable[[], onnxruntime.InferenceSession]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads or self.cores
        options.inter_op_num_threads = 1
        # or this tier's threads spin on for a while beside the next tier's, which then takes twice the time
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return lambda: onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        session = self._opened.get()
        return session.run(None, {node.name: inputs[node.name] for node in session.get_inputs()})[0]

"""The ONNX Runtime engine: runs what `export` wrote, without PyTorch or transformers."""

from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime

from tangodistill.data.tokenize import TextEncoder
from tangodistill.runtime.engines import Engine, TierFacts
from tangodistill.runtime.exported import read_exported
from tangodistill.user_error import UserError


class OnnxEngine(Engine):
    """One tier, run by ONNX Runtime in fp32, int8 or int8_static."""

    name = "onnxruntime"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        facts: TierFacts,
        encoder: TextEncoder,
        precision: str,
        threads: int | None = None,
    ):
        super().__init__(facts, encoder, precision, threads)
        self._session = session
        self._names = [node.name for node in session.get_inputs()]

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
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0  # 0: one per core
        options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{graph} cannot be read ({reason}). Run `python -m tangodistill export` again.") from error
        return cls(session, facts, encoder, precision, threads)

    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self._session.run(None, {name: inputs[name] for name in self._names})[0]

"""Token arrays to model inputs."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, from_numpy


def tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The same inputs as tensors on the CPU, sharing memory with the arrays.

    >>> tensors({"input_ids": np.array([[2, 7, 3]])})
    {'input_ids': tensor([[2, 7, 3]])}
    """
    return {name: from_numpy(array) for name, array in inputs.items()}

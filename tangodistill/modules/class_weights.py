"""What each class counts in a loss, for data in which some are rare."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tangodistill.user_error import UserError

ClassWeights = Literal["balanced"] | dict[str, float]
"""``balanced``, or a weight by label name; classes that are not named weigh 1."""


def class_weights(weights: ClassWeights | None, label_names: Sequence[str], counts: np.ndarray) -> Tensor:
    """(classes,) float32: what a row's loss is multiplied by, in the order of the label names.

    `balanced` gives class c the weight n / (C · n_c), so that all C classes weigh alike together, and a row 1 on
    average (King & Zeng 2001, "Logistic Regression in Rare Events Data", as in scikit-learn).

    Args:
        counts: (classes,) int64 rows of each class.

    Raises:
        UserError: a name that is no label, or a weight that is not above 0.

    >>> class_weights("balanced", ["fraud", "legit"], np.array([10, 30]))
    tensor([2.0000, 0.6667])
    >>> class_weights({"fraud": 5.0}, ["fraud", "legit"], np.array([10, 30]))
    tensor([5., 1.])
    """
    if weights == "balanced":
        return torch.from_numpy(counts.sum() / (len(counts) * np.maximum(counts, 1))).float()
    for name, weight in (weights or {}).items():
        if name not in label_names:
            raise UserError(f"model.class_weights: no class is called {name!r}; they are {', '.join(label_names)}.")
        if not 0 < weight < float("inf"):
            raise UserError(f"model.class_weights: {name} has the weight {weight}; give a number above 0.")
    return torch.tensor([float((weights or {}).get(name, 1.0)) for name in label_names])

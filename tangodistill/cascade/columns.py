"""What the columns of a table are called, of one tier or of the gates: every tier but the last has a gate."""

from collections.abc import Mapping

import numpy as np


def column(tier: int, name: str) -> str:
    """The column of one tier, numbered from 1.

    >>> column(2, "time_s")
    'tier2_time_s'
    """
    return f"tier{tier}_{name}"


def gate_columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Columns (points,) of values (points, K - 1); two tiers have one gate, whose column has the bare name.

    >>> list(gate_columns("threshold", np.zeros((5, 1)))), list(gate_columns("threshold", np.zeros((5, 2))))
    (['threshold'], ['tier1_threshold', 'tier2_threshold'])
    """
    if values.shape[1] == 1:
        return {name: values[:, 0]}
    return {column(tier, name): each for tier, each in enumerate(values.T, 1)}


def gate_values(name: str, table: Mapping) -> np.ndarray:
    """(points, K - 1) what `gate_columns` made columns of.

    >>> gate_values("threshold", {"threshold": [0.5, 0.75]}).tolist()
    [[0.5], [0.75]]
    """
    if name in table:
        return np.asarray(table[name])[:, None]
    tiers = range(1, 1 + sum(key.endswith(f"_{name}") for key in table))
    return np.stack([np.asarray(table[column(tier, name)]) for tier in tiers], axis=1)


def confidences_of(table: Mapping) -> np.ndarray:
    """(K - 1, n) confidences of the gating tiers in a table like predictions.parquet.

    >>> confidences_of({"confidence": [0.5, 0.75], "label": [0, 1]}).tolist()
    [[0.5, 0.75]]
    """
    return gate_values("confidence", table).T

"""Length configurations of Dynamic-TinyBERT: for each layer the share of an example's tokens that it keeps.

Kim and Cho 2021, "Length-Adaptive Transformer: Train Once with Length Drop, Use Anytime with Search", whose lengths are
absolute and so assume one padded length; shares make an example's answer independent of its batch. They are multiples
of 1/10,000, so that all engines round alike: 0.1 · 30 is more than 3 in floating point, and 4 tokens would be kept.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from tangodistill.user_error import UserError

GRID = 10_000
FEWEST = 2
"""Tokens that every layer keeps, where there are so many."""
DROP = 0.2
"""Largest share of the tokens that LengthDrop drops in one layer."""

Lengths = tuple[float, ...]
Count = TypeVar("Count")  # an int, a symbolic one, or an integer tensor


def share_of(tokens: Count, ratio: float) -> Count:
    """⌈ratio · tokens⌉ in whole numbers.

    >>> share_of(30, 0.1), share_of(25, 0.8 * 0.8), share_of(7, 1.0)
    (3, 16, 7)
    """
    return (tokens * round(ratio * GRID) + GRID - 1) // GRID


def checked(lengths: Sequence[float] | None, layers: int) -> Lengths:
    """The shares on the grid; all ones where there is no configuration.

    Raises:
        UserError: the count differs from the layers, a share is not in (0, 1], or they rise; names the value.

    >>> checked([1, 0.50001], 2), checked(None, 2)
    ((1.0, 0.5), (1.0, 1.0))
    """
    if lengths is None:
        return (1.0,) * layers
    if len(lengths) != layers:
        raise UserError(
            f"length_configuration has {len(lengths)} entries ({list(lengths)}), but the model {layers} layers; give "
            "for each layer the share of the tokens that it keeps."
        )
    for value in lengths:
        if not 1 / GRID <= value <= 1:
            raise UserError(
                f"length_configuration holds {value}; a layer keeps a share of the tokens from {1 / GRID} to 1."
            )
    for i, (before, after) in enumerate(zip(lengths, lengths[1:], strict=False)):
        if after > before:
            raise UserError(
                f"length_configuration rises from {before} (layer {i + 1}) to {after} (layer {i + 2}); what a layer "
                f"dropped never comes back. For instance {list(monotone(lengths))}."
            )
    return _on_grid(lengths)


def monotone(lengths: Sequence[float]) -> Lengths:
    """The nearest configuration from below that never rises.

    >>> monotone([0.9, 0.5, 0.7])
    (0.9, 0.5, 0.5)
    """
    return _on_grid(np.minimum.accumulate(lengths))


def sample(
    layers: int, rng: np.random.Generator, drop: float = DROP, kept_layers: Sequence[bool] | None = None
) -> Lengths:
    """LengthDrop: each layer that is not itself dropped keeps from 1 − `drop` to all of what the one before kept."""
    factors = rng.uniform(1 - drop, 1, layers)
    return _on_grid(np.cumprod(factors if kept_layers is None else np.where(kept_layers, factors, 1)))


def smallest(layers: int, drop: float = DROP) -> Lengths:
    """The smallest configuration that LengthDrop can draw.

    >>> smallest(4)
    (0.8, 0.64, 0.512, 0.4096)
    """
    return _on_grid((1 - drop) ** np.arange(1, layers + 1))


def mutate(lengths: Lengths, rng: np.random.Generator, lowest: float, probability: float = 0.5) -> Lengths:
    """Each layer's share drawn anew, with this probability, between those of its neighbours.

    Args:
        lowest: what the last layer keeps at least.
    """
    mutant = [1.0, *lengths, min(lowest, lengths[-1])]
    for i in range(1, len(mutant) - 1):
        if rng.random() < probability:
            mutant[i] = rng.uniform(mutant[i + 1], mutant[i - 1])
    return _on_grid(mutant[1:-1])


def crossover(left: Lengths, right: Lengths) -> Lengths:
    """The mean of two configurations.

    >>> crossover((1.0, 0.5), (0.5, 0.25))
    (0.75, 0.375)
    """
    return _on_grid((np.array(left) + np.array(right)) / 2)


def _on_grid(lengths: Sequence[float]) -> Lengths:
    return tuple(max(round(float(value) * GRID), 1) / GRID for value in lengths)

"""What is timed is what is served: whole calls of the predictor, from raw texts to answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tangodistill.engines.engine import Engine
from tangodistill.predictor.answers import Readout
from tangodistill.predictor.predictor import CascadePredictor

NEVER, ALWAYS = -math.inf, math.inf
"""Thresholds that defer nothing, and everything."""
REFERENCE = "tier 2 alone"
"""Name of what is timed without a cascade."""
TURNS = 5  # of which an example is deferred in one
LEAST_S = 1e-6  # that tier 2 adds: the difference of two times, each with its noise


def rows_of(texts: Sequence[str], pairs: Sequence[str] | None) -> list:
    """Examples as `predict` takes them."""
    return list(texts) if pairs is None else list(zip(texts, pairs, strict=True))


def serving(
    engines: Sequence[Engine],
    readout: Readout,
    paired: bool,
    batch_sizes: Sequence[int] = (1, 1),
    threshold: float = NEVER,
) -> CascadePredictor:
    """A cascade of engines at hand; `paired` where its examples are pairs of texts."""
    columns = ("text", "text_pair") if paired else ("text",)
    names = getattr(readout, "label_names", ())
    return CascadePredictor(engines, names, threshold, batch_sizes, columns, readout.score)


def alone(engine: Engine, readout: Readout, paired: bool, batch_size: int = 1) -> CascadePredictor:
    """One tier served by itself: a cascade that never defers."""
    return serving((engine, engine), readout, paired, (batch_size, batch_size))


def one_at_a_time(
    engines: Sequence[Engine], reference: Engine, readout: Readout, texts: Sequence[str], pairs: Sequence[str] | None
) -> dict[str, Callable[[int], object]]:
    """By name, calls that take an example's index: the cascade in several turns, and the second tier alone, by the
    engine that is its fastest for one example at a time.

    In a turn every fifth example is deferred, and over all turns each once. So a deferred example comes after some
    that were not, as in use: a second tier that had just run has its weights in the cache and its threads awake, and
    was up to a fifth faster.
    """
    rows, paired = rows_of(texts, pairs), pairs is not None
    cascade, single = serving(engines, readout, paired), alone(reference, readout, paired)

    def turn(number: int) -> Callable[[int], object]:
        return lambda i: cascade.predict(rows[i], ALWAYS if _is_deferred(i, number) else NEVER)

    turns = {_turn(number): turn(number) for number in range(TURNS)}
    return {**turns, REFERENCE: lambda i: single.predict(rows[i])}


@dataclass(frozen=True)
class ServedTimes:
    """Seconds (repeats, n) of n examples, one at a time, by `one_at_a_time`.

    >>> turns = np.full((TURNS, 1, 6), 1.0)
    >>> turns[np.arange(6) % TURNS, 0, np.arange(6)] = 9.0  # where each is deferred
    >>> times = ServedTimes.of({**{_turn(t): turns[t] for t in range(TURNS)}, REFERENCE: np.full((1, 6), 7.0)})
    >>> times.first.tolist() == [[1.0] * 6], times.second.tolist() == [[8.0] * 6]
    (True, True)
    """

    first: np.ndarray
    """Of the first tier, where its answer stands."""
    second: np.ndarray
    """That the second tier adds where the example is deferred."""
    reference: np.ndarray
    """Of the second tier alone."""

    @classmethod
    def of(cls, seconds: Mapping[str, np.ndarray]) -> Self:
        """From the passes of `one_at_a_time`, by its names."""
        turns = np.stack([seconds[_turn(number)] for number in range(TURNS)])
        examples = np.arange(turns.shape[2])
        deferred = np.stack([_is_deferred(examples, number) for number in range(TURNS)])[:, None]
        both = turns.sum(axis=0, where=deferred)
        first = turns.sum(axis=0, where=~deferred) / (TURNS - 1)
        return cls(first, np.maximum(both - first, LEAST_S), seconds[REFERENCE])

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Columns (n,) of predictions.parquet."""
        return {
            "tier1_time_s": self.first.mean(axis=0),
            "tier2_time_s": self.second.mean(axis=0),
            "second_only_time_s": self.reference.mean(axis=0),
        }


def is_turn(name: str) -> bool:
    """Whether a name of `one_at_a_time` is of the cascade."""
    return name.startswith("cascade, ")


def _turn(number: int) -> str:
    return f"cascade, turn {number + 1}"


def _is_deferred(example: int | np.ndarray, turn: int) -> bool | np.ndarray:
    return example % TURNS == turn

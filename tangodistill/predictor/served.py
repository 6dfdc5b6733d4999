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
REFERENCE = "last tier alone"
"""Name of what is timed without a cascade."""
EVERY = 5  # which example goes beyond the first tier
LEAST_S = 1e-6  # that a tier adds: the difference of two times, each with its noise


def rows_of(texts: Sequence[str], pairs: Sequence[str] | None) -> list:
    """Examples as `predict` takes them."""
    return list(texts) if pairs is None else list(zip(texts, pairs, strict=True))


def serving(
    engines: Sequence[Engine],
    readout: Readout,
    paired: bool,
    batch_sizes: Sequence[int] | None = None,
    thresholds: float | Sequence[float] | None = None,
) -> CascadePredictor:
    """A cascade of engines at hand, by default one that never defers; `paired`: its examples are pairs of texts."""
    columns = ("text", "text_pair") if paired else ("text",)
    names = getattr(readout, "label_names", ())
    never = [NEVER] * (len(engines) - 1)
    return CascadePredictor(
        engines, names, never if thresholds is None else thresholds, batch_sizes, columns, readout.score
    )


def alone(engine: Engine, readout: Readout, paired: bool, batch_size: int = 1) -> CascadePredictor:
    """One tier served by itself."""
    return serving([engine], readout, paired, [batch_size])


def one_at_a_time(
    engines: Sequence[Engine], reference: Engine, readout: Readout, texts: Sequence[str], pairs: Sequence[str] | None
) -> dict[str, Callable[[int], object]]:
    """By name, calls that take an example's index: the cascade in several turns, and the last tier alone, by the
    engine that is its fastest for one example at a time.

    In a turn every fifth example is deferred, and over all turns each once to every tier. So a deferred example comes
    after some that were not, as in use: a tier that had just run has its weights in the cache and its threads awake,
    and was up to a fifth faster.
    """
    rows, paired, tiers = rows_of(texts, pairs), pairs is not None, len(engines)
    cascade, single = serving(engines, readout, paired), alone(reference, readout, paired)
    stopping_at = [[ALWAYS] * place + [NEVER] * (tiers - 1 - place) for place in range(tiers)]

    def turn(number: int) -> Callable[[int], object]:
        return lambda i: cascade.predict(rows[i], stopping_at[_stop(i, number, tiers)])

    turns = {_turn(number): turn(number) for number in range(_turns(tiers))}
    return {**turns, REFERENCE: lambda i: single.predict(rows[i])}


@dataclass(frozen=True)
class ServedTimes:
    """Seconds of n examples, one at a time, by `one_at_a_time`.

    >>> stop = np.array([[_stop(i, turn, 2) for i in range(6)] for turn in range(_turns(2))])
    >>> seconds = np.where(stop == 1, 9.0, 1.0)
    >>> passes = {_turn(turn): seconds[turn, None] for turn in range(_turns(2))}
    >>> times = ServedTimes.of({**passes, REFERENCE: np.full((1, 6), 7.0)}, 2)
    >>> times.added[:, 0, 0].tolist(), times.columns["tier2_time_s"].tolist() == [8.0] * 6
    ([1.0, 8.0], True)
    """

    added: np.ndarray
    """(K, repeats, n) that each tier adds where the example reaches it."""
    reference: np.ndarray
    """(repeats, n) of the last tier alone."""

    @classmethod
    def of(cls, seconds: Mapping[str, np.ndarray], tiers: int) -> Self:
        """From the passes (repeats, n) of `one_at_a_time`, by its names."""
        turns = np.stack([seconds[_turn(number)] for number in range(_turns(tiers))])
        examples = np.arange(turns.shape[2])
        stops = np.stack([_stop(examples, number, tiers) for number in range(len(turns))])[:, None]
        until = np.stack(
            [turns.sum(axis=0, where=stops == place) / (stops == place).sum(axis=0) for place in range(tiers)]
        )
        added = np.concatenate([until[:1], np.maximum(np.diff(until, axis=0), LEAST_S)])
        return cls(added, seconds[REFERENCE])

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Columns (n,) of predictions.parquet."""
        tiers = {f"tier{number}_time_s": added.mean(axis=0) for number, added in enumerate(self.added, 1)}
        return {**tiers, "second_only_time_s": self.reference.mean(axis=0)}


def is_turn(name: str) -> bool:
    """Whether a name of `one_at_a_time` is of the cascade."""
    return name.startswith("cascade, ")


def _turn(number: int) -> str:
    return f"cascade, turn {number + 1}"


def _turns(tiers: int) -> int:
    return EVERY * (tiers - 1)


def _stop(example: int | np.ndarray, turn: int, tiers: int) -> int | np.ndarray:
    """Which tier's answer stands, from 0.

    >>> _stop(np.arange(11), 0, 3).tolist()
    [1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]
    """
    place, rest = np.divmod((example - turn) % _turns(tiers), EVERY)
    return np.where(rest == 0, place + 1, 0)[()]

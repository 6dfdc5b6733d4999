"""What is timed is what is served: whole calls of the predictor, from raw texts to answers."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tangodistill.runtime.answers import Readout
from tangodistill.runtime.engines import Engine
from tangodistill.runtime.predictor import CascadePredictor

NEVER, ALWAYS = -math.inf, math.inf
"""Thresholds that defer nothing, and everything."""
FIRST, BOTH, REFERENCE = "tier 1", "tier 1 and tier 2", "tier 2 alone"
"""Names of what is timed one example at a time: answered by the first tier, deferred, and without a cascade."""
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
    """By name, calls that take an example's index: the cascade where it never and where it always defers, and the
    second tier alone, by the engine that is its fastest for one example at a time."""
    rows, paired = rows_of(texts, pairs), pairs is not None
    cascade, single = serving(engines, readout, paired), alone(reference, readout, paired)
    return {
        FIRST: lambda i: cascade.predict(rows[i], NEVER),
        BOTH: lambda i: cascade.predict(rows[i], ALWAYS),
        REFERENCE: lambda i: single.predict(rows[i]),
    }


def time_columns(seconds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns (n,) of predictions.parquet from the passes (repeats, n) of `one_at_a_time`.

    >>> passes = {FIRST: np.array([[1.0], [3.0]]), BOTH: np.array([[9.0], [11.0]]), REFERENCE: np.array([[7.0], [7.0]])}
    >>> {name: column.tolist() for name, column in time_columns(passes).items()}
    {'tier1_time_s': [2.0], 'tier2_time_s': [8.0], 'second_only_time_s': [7.0]}
    """
    first, both, reference = (seconds[name].mean(axis=0) for name in (FIRST, BOTH, REFERENCE))
    return {
        "tier1_time_s": first,
        "tier2_time_s": np.maximum(both - first, LEAST_S),
        "second_only_time_s": reference,
    }

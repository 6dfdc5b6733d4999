"""What the tiers take on this machine, and from that every operating point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tangodistill.cascade.columns import column
from tangodistill.cascade.moves import Moves

REFERENCE = 0  # in a table of batches, the number of the last tier alone where it has a setting of its own


@dataclass(frozen=True)
class TierTime:
    """Measured times of one tier over n examples, raw text to answer, in seconds.

    Raises: ValueError for times that are not above zero, or a best size that was not measured.
    """

    example_s: np.ndarray
    """(n,) what the tier adds to an example that reaches it, one at a time."""
    batch_sizes: np.ndarray
    """(k,) ascending batch sizes that were measured, the best one included."""
    in_batches_s: np.ndarray
    """(k,) an example in full batches of each size."""
    best: int
    """The best batch size."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "example_s", np.asarray(self.example_s, np.float64))
        sizes, in_batches = np.asarray(self.batch_sizes), np.asarray(self.in_batches_s, np.float64)
        object.__setattr__(self, "batch_sizes", sizes)
        object.__setattr__(self, "in_batches_s", in_batches)
        if self.example_s.ndim != 1:
            raise ValueError(f"example_s must be one time per example, got {self.example_s.shape}")
        if sizes.shape != in_batches.shape or np.any(np.diff(sizes, prepend=0) <= 0):
            raise ValueError(f"batch sizes must ascend and have one time each, got {sizes} and {in_batches}")
        if self.best not in sizes:
            raise ValueError(f"the best batch size {self.best} is not among the measured {sizes.tolist()}")
        for name in ("example_s", "in_batches_s"):
            check_seconds(name, getattr(self, name))

    @property
    def best_batch_s(self) -> float:
        """An example in full batches of the best size."""
        return float(self.in_batches_s[self.batch_sizes == self.best][0])

    def queue_s(self, count: np.ndarray | int) -> np.ndarray:
        """Seconds of `count` examples in full batches of the best size and one partial batch."""
        return queue_time_s(count, self.best, self.batch_sizes, self.in_batches_s * self.batch_sizes)

    def drawn(self, rows: np.ndarray) -> Self:
        return replace(self, example_s=self.example_s[rows])


@dataclass(frozen=True)
class Reference:
    """The last tier alone, at its fastest setting for each way of use: what speedups are against."""

    example_s: np.ndarray
    """(n,) an example, one at a time."""
    best_batch_s: float
    """All n examples in batches."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "example_s", np.asarray(self.example_s, np.float64))
        check_seconds("example_s of the reference", self.example_s)
        check_seconds("best_batch_s of the reference", np.asarray(self.best_batch_s))


@dataclass(frozen=True)
class Timing:
    """Measured times of all tiers over the same n examples."""

    tiers: tuple[TierTime, ...]
    reference: Reference | None = None
    """None: the last tier as it runs in the cascade."""

    def __post_init__(self) -> None:
        last, shapes = self.tiers[-1], [tier.example_s.shape for tier in self.tiers]
        if len(set(shapes)) > 1:
            raise ValueError(f"the tiers were timed on {' and '.join(map(str, shapes))} examples; all need the same")
        if self.reference is None:
            object.__setattr__(self, "reference", Reference(last.example_s, float(last.queue_s(self.n))))
        if self.reference.example_s.shape != last.example_s.shape:
            alone = self.reference.example_s.shape
            raise ValueError(f"the last tier alone was timed on {alone} examples, the cascade on {shapes[-1]}")

    @property
    def n(self) -> int:
        """Examples."""
        return len(self.tiers[0].example_s)

    def subset(self, tiers: Sequence[int]) -> Self:
        """The times of a cascade of some of the tiers, numbered from 1; the reference stays."""
        return replace(self, tiers=tuple(self.tiers[tier - 1] for tier in tiers))

    def drawn(self, rows: np.ndarray) -> Self:
        """The times of some of the examples, for a bootstrap."""
        share, alone = len(rows) / self.n, self.reference
        reference = Reference(alone.example_s[rows], alone.best_batch_s * share)
        return Timing(tuple(tier.drawn(rows) for tier in self.tiers), reference)

    def typical(self, n: int) -> Self:
        """Those of n examples that take the mean time."""
        return self._map(lambda seconds: np.full(n, seconds.mean()), n)

    def extended(self, added: int) -> Self:
        """With some more examples, which take the mean time."""
        return self._map(lambda seconds: np.append(seconds, np.full(added, seconds.mean())), self.n + added)

    def _map(self, change, n: int) -> Self:
        alone = self.reference
        reference = Reference(change(alone.example_s), alone.best_batch_s * (n / self.n))
        return Timing(tuple(replace(tier, example_s=change(tier.example_s)) for tier in self.tiers), reference)


def timing_of(predictions: Mapping, batches: Mapping, best: Sequence[int]) -> Timing:
    """The times of tables like predictions.parquet and batch_times.parquet.

    Args: `predictions` columns (n,) `tier1_time_s`, `tier2_time_s` and so on, and where the last tier alone was timed
    by itself `second_only_time_s`; `batches` columns (rows,) `tier`, `batch_size`, `n`, `seconds`, each row a timed run
    over n examples in batches of one size, of tier 0 those of the last tier alone where it has a setting of its own;
    `best` each tier's best batch size.
    """
    tier, size = np.asarray(batches["tier"]), np.asarray(batches["batch_size"])
    per_example_s = np.asarray(batches["seconds"]) / np.asarray(batches["n"])

    def in_batches(number: int) -> tuple[np.ndarray, np.ndarray]:
        sizes = np.unique(size[tier == number])
        return sizes, np.array([per_example_s[(tier == number) & (size == each)].mean() for each in sizes])

    tiers = tuple(
        TierTime(np.asarray(predictions[column(number, "time_s")]), *in_batches(number), own)
        for number, own in enumerate(best, 1)
    )
    as_in_cascade, alone = Timing(tiers).reference, in_batches(REFERENCE)[1]
    reference = Reference(
        example_s=np.asarray(predictions.get("second_only_time_s", as_in_cascade.example_s)),
        best_batch_s=float(alone.min()) * len(tiers[0].example_s) if len(alone) else as_in_cascade.best_batch_s,
    )
    return Timing(tiers, reference)


def cascade_time_s(moves: Moves, timing: Timing) -> np.ndarray:
    """(points,) seconds for all examples, one at a time: each goes through all tiers up to the one that answers it."""
    seconds = np.full(len(moves.made), timing.tiers[0].example_s.sum())
    for before, tier in enumerate(timing.tiers[1:]):
        seconds += moves.total_beyond(before, tier.example_s)
    return seconds


def best_batch_time_s(reaching: np.ndarray, timing: Timing) -> np.ndarray:
    """(points,) seconds for all examples at best batch sizes: those that go on are queued for each next tier.

    Args: `reaching` (points, K - 1) how many examples go through each tier after the first.
    """
    seconds = np.full(len(reaching), timing.n * timing.tiers[0].best_batch_s)
    for count, tier in zip(np.transpose(reaching), timing.tiers[1:], strict=True):
        seconds += tier.queue_s(count)
    return seconds


def queue_time_s(count: np.ndarray | int, batch_size: int, sizes: np.ndarray, batch_s: np.ndarray) -> np.ndarray:
    """Seconds of `count` examples in full batches of `batch_size` and one partial batch for the rest.

    The partial batch's time is interpolated linearly between the measured ones; a batch of none takes none.

    Args: `sizes` (k,) ascending measured batch sizes; `batch_s` (k,) seconds of one batch of each.

    >>> float(queue_time_s(10, batch_size=4, sizes=[1, 4], batch_s=[1.0, 2.5]))
    6.5
    """
    full, rest = np.divmod(count, batch_size)
    size_0, seconds_0 = np.append(0, sizes), np.append(0.0, batch_s)
    return full * np.interp(batch_size, size_0, seconds_0) + np.interp(rest, size_0, seconds_0)


def check_seconds(name: str, seconds: np.ndarray) -> None:
    """Raises: ValueError for a time that is not above zero."""
    if not (np.isfinite(seconds).all() and (seconds > 0).all()):
        raise ValueError(f"{name} holds a time that is not above zero")

"""The cheapest threshold that is certified to keep a share of the second tier's metric on unseen data.

Learn then Test (Angelopoulos et al. 2021, arXiv:2110.01052). Each threshold of a grid has the null hypothesis "here the
cascade keeps less". They are tested from the safest downwards, all at one level, up to the first that is not rejected
(fixed-sequence testing): the chance of returning a threshold that keeps less is at most that level, however many there
are, because the grid and its order were fixed before the data was seen.
"""

from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.choose import Target

STEPS = 400
NEARLY_ONE = 1 - 1e-5  # closer to 1, neighbours would share a float32
MOST_EXAMPLES = 10_000_000


@dataclass(frozen=True)
class Guarantee:
    """What a calibration set certifies about unseen data of its kind."""

    keep: float
    """Share of the second tier's metric."""
    confidence: float
    """Share of calibration sets whose threshold does keep it, at least."""
    method: str
    n: int
    """Calibration examples."""
    threshold: float | None
    """A float32 value; None where nothing short of deferring all of them is certified."""
    deferral_rate: float | None
    """On the calibration examples."""
    examples_needed: int | None
    """Where nothing is certified: about how many examples like these would certify any threshold at all; None beyond
    MOST_EXAMPLES."""
    examples_for_plain: int | None
    """About how many would certify the threshold chosen without a guarantee; None beyond MOST_EXAMPLES."""

    @property
    def target(self) -> str:
        return f"{Target('keep', self.keep)} with {100 * self.confidence:.4g} % confidence"

    @property
    def reason(self) -> str | None:
        """Why no threshold is certified, and what it would take; None where one is."""
        if self.threshold is not None:
            return None
        anything, plain = (
            f"more than {MOST_EXAMPLES:,}" if size is None else f"about {size:,}"
            for size in (self.examples_needed, self.examples_for_plain)
        )
        return (
            f"{self.n:,} calibration examples are too few to {self.target}: it takes {anything} to certify any "
            f"threshold at all, and {plain} for the one chosen without confidence"
        )


@dataclass(frozen=True)
class Grid:
    """Thresholds to test, and how many of them defer each example."""

    thresholds: np.ndarray
    """(STEPS,) float32, the safest first."""
    deferrals: np.ndarray
    """(n,) int64: the first so many thresholds defer the example."""

    def standing(self, part: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(STEPS,) how many of some examples each threshold leaves to tier 1."""
        return np.cumsum(np.bincount(self.deferrals[part], minlength=STEPS + 1))[:STEPS]


def grid_over(confidence: np.ndarray, n: int, lowest: float) -> Grid:
    """The grid down to `lowest`, and where confidences (n,) lie on it.

    Raises: ValueError unless they are n finite numbers.
    """
    confidence = np.asarray(confidence, np.float32)
    if confidence.shape != (n,) or not np.isfinite(confidence).all():
        raise ValueError(f"confidence must be {n} finite numbers, got an array of {confidence.shape}")
    thresholds = threshold_grid(lowest)
    return Grid(thresholds, np.searchsorted(-thresholds, -confidence))


def threshold_grid(lowest: float) -> np.ndarray:
    """(STEPS,) float32 thresholds from nearly 1 down to `lowest`, even in their logit.

    >>> [round(float(threshold), 4) for threshold in threshold_grid(1 / 4)[[0, 200, 399]]]
    [1.0, 0.9945, 0.25]
    """
    top, bottom = (np.log(p / (1 - p)) for p in (NEARLY_ONE, lowest))
    return (1 / (1 + np.exp(-np.linspace(top, bottom, STEPS)))).astype(np.float32)


@dataclass(frozen=True)
class Tested:
    """What a test says of each threshold of a grid."""

    method: str
    p_values: np.ndarray
    """(STEPS,)"""
    needed_at_all: np.ndarray
    """(STEPS,) about how many examples like these would reject the hypothesis where losses are rare, inf for never."""
    needed_amid_losses: np.ndarray
    """(STEPS,) the same where they are many."""


def guarantee(grid: Grid, tested: Tested, keep: float, level: float, plain: float) -> Guarantee:
    """The last threshold on the way down that is still certified, and what it would take to get further.

    Args: `level` the confidence, such as 0.95; `plain` the threshold chosen without one.
    """
    n = len(grid.deferrals)
    rate = (n - grid.standing()) / n
    last = fixed_sequence(tested.p_values, 1 - level) - 1
    certified = last >= 0 and rate[last] < 1
    first_useful = int(np.argmax(rate < 1))
    cheapest_safe = max(int(np.sum(grid.thresholds >= np.float32(plain))) - 1, first_useful)
    # the way to a threshold leads past all safer ones
    needed_at_all = np.max(tested.needed_at_all[: first_useful + 1])
    needed_amid_losses = np.max(tested.needed_amid_losses[: cheapest_safe + 1])
    return Guarantee(
        keep=keep,
        confidence=level,
        method=tested.method,
        n=n,
        threshold=float(grid.thresholds[last]) if certified else None,
        deferral_rate=float(rate[last]) if certified else None,
        examples_needed=None if certified else _about(needed_at_all),
        examples_for_plain=_about(needed_amid_losses),
    )


def check_guarantee(keep: float, level: float) -> None:
    """Raises: ValueError for a share or level that cannot be certified."""
    if not 0 < keep < 1:
        raise ValueError(f"with confidence, the share to keep must be above 0 and below 1, got {keep}")
    if not 0.5 < level <= 0.999:
        raise ValueError(f"the confidence must be above 0.5 and at most 0.999, such as 0.95, got {level}")


def fixed_sequence(p_values: np.ndarray, level: float) -> int:
    """How many hypotheses, tested in this order, are rejected before the first that is not.

    >>> fixed_sequence(np.array([0.01, 0.05, 0.2, 0.01]), level=0.05)
    2
    """
    return int(np.argmin(np.append(p_values <= level, False)))


def _about(examples: float) -> int | None:
    """Rounded up to two figures; None for more than MOST_EXAMPLES.

    >>> _about(1234.5), _about(7.2), _about(1e9)
    (1300, 8, None)
    """
    if examples > MOST_EXAMPLES:
        return None
    unit = 10 ** max(int(np.log10(examples)) - 1, 0)
    return int(np.ceil(examples / unit)) * unit

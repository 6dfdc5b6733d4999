"""The cheapest thresholds that are certified to keep a share of the last tier's metric on unseen data.

Learn then Test (Angelopoulos et al. 2021, arXiv:2110.01052). Each step of a path of thresholds has the null hypothesis
"here the cascade keeps less". They are tested from the safest on, all at one level, up to the first that is not
rejected (fixed-sequence testing): the chance of returning thresholds that keep less is at most that level, however many
steps and tiers there are, because the path and its order were fixed before the data was seen.

What is promised: groups of examples are drawn independently, as articles or texts with their near-doubles are. A new
text is one of a new group, drawn as the calibration examples' groups were, and drawn from it at random. On average over
such texts, the cascade keeps the share. So each group counts once, however many examples of it are at hand; where all
groups hold one example, this is an unseen example like them. Nothing else may have been chosen on the calibration set.
"""

from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import Target

MOST_GROUPS = 10_000_000


@dataclass(frozen=True)
class Guarantee:
    """What a calibration set certifies about unseen data of its kind."""

    keep: float
    """Share of the last tier's metric."""
    confidence: float
    """Share of calibration sets whose thresholds do keep it, at least."""
    method: str
    n: int
    """Calibration examples."""
    groups: int
    """Independent groups of them."""
    thresholds: tuple[float, ...] | None
    """(K - 1,) float32 values; None where nothing short of the last tier for all examples is certified."""
    deferral_rate: float | None
    """Share of the calibration examples that the last tier answers."""
    groups_needed: int | None
    """Where nothing is certified: about how many groups like these would certify any step at all; None beyond
    MOST_GROUPS."""
    groups_for_plain: int | None
    """About how many would certify the thresholds chosen without a guarantee; None beyond MOST_GROUPS."""

    @property
    def threshold(self) -> float | None:
        """Of two tiers, the only one."""
        return self.thresholds and self.thresholds[0]

    @property
    def target(self) -> str:
        return f"{Target('keep', self.keep)} with {100 * self.confidence:.4g} % confidence"

    @property
    def basis(self) -> str:
        """What it rests on: the examples, and how many independent groups they are where that is fewer."""
        examples = f"{self.n:,} calibration examples"
        if self.groups == self.n:
            return examples
        return f"{examples} in {self.groups:,} independent group{'s' if self.groups > 1 else ''}"

    @property
    def reason(self) -> str | None:
        """Why no step is certified, and what it would take; None where one is."""
        if self.thresholds is not None:
            return None
        unit = "" if self.groups == self.n else " groups"
        anything, plain = (
            f"more than {MOST_GROUPS:,}{unit}" if size is None else f"about {size:,}{unit}"
            for size in (self.groups_needed, self.groups_for_plain)
        )
        return (
            f"{self.basis} are too few to {self.target}: it takes {anything} to certify any threshold at all, and "
            f"{plain} for the one chosen without confidence"
        )


@dataclass(frozen=True)
class Tested:
    """What a test says of each step of a calibration set's path."""

    method: str
    p_values: np.ndarray
    """(steps,)"""
    needed_at_all: np.ndarray
    """(steps,) about how many groups like these would reject the hypothesis where losses are rare, inf for never."""
    needed_amid_losses: np.ndarray
    """(steps,) the same where they are many."""


def guarantee(
    calibration: CalibrationSet, tested: Tested, keep: float, level: float, plain: np.ndarray | float
) -> Guarantee:
    """The last step of the path that is still certified, and what it would take to get further.

    Args: `level` the confidence, such as 0.95; `plain` the thresholds (K - 1,) chosen without one.
    """
    path, rate = calibration.path, calibration.last_rate
    last = fixed_sequence(tested.p_values, 1 - level) - 1
    certified = last >= 0 and rate[last] < 1
    first_useful = int(np.argmax(rate < 1))
    as_safe = np.flatnonzero(np.all(path >= np.asarray(plain, np.float32), axis=1))
    cheapest_safe = max(int(as_safe[-1]) if len(as_safe) else -1, first_useful)
    # the way to a step leads past all safer ones
    needed_at_all = np.max(tested.needed_at_all[: first_useful + 1])
    needed_amid_losses = np.max(tested.needed_amid_losses[: cheapest_safe + 1])
    return Guarantee(
        keep=keep,
        confidence=level,
        method=tested.method,
        n=calibration.n,
        groups=len(calibration.group_sizes),
        thresholds=tuple(map(float, path[last])) if certified else None,
        deferral_rate=float(rate[last]) if certified else None,
        groups_needed=None if certified else _about(needed_at_all),
        groups_for_plain=_about(needed_amid_losses),
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


def _about(groups: float) -> int | None:
    """Rounded up to two figures; None for more than MOST_GROUPS.

    >>> _about(1234.5), _about(7.2), _about(1e9)
    (1300, 8, None)
    """
    if groups > MOST_GROUPS:
        return None
    unit = 10 ** max(int(np.log10(groups)) - 1, 0)
    return int(np.ceil(groups / unit)) * unit

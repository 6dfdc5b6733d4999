"""The cheapest threshold that is certified to keep a share of the second tier's metric on unseen data.

Learn then Test (Angelopoulos et al. 2021, arXiv:2110.01052). Each threshold of a grid has the null hypothesis "here the
cascade keeps less". They are tested from the safest downwards, all at one level, up to the first that is not rejected
(fixed-sequence testing): the chance of returning a threshold that keeps less is at most that level, however many there
are, because the grid and its order were fixed before the data was seen.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tangodistill.cascade.bootstrap import bootstrap_p_values
from tangodistill.cascade.choose import Target
from tangodistill.cascade.exact_test import exact_p_values, highest_rate
from tangodistill.metrics import METRICS, check_class_ids

EXACT, BOOTSTRAP = "an exact paired test, valid at any n", "a paired bootstrap, valid for large n"
STEPS = 400
NEARLY_ONE = 1 - 1e-5  # closer to 1, neighbours would share a float32
MOST_EXAMPLES = 10_000_000
BOUND_ERROR = 1e-4  # of each of two bounds that hold for all thresholds at once


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


def certify(
    metric: str,
    labels: np.ndarray,
    tier1_predictions: np.ndarray,
    tier2_predictions: np.ndarray,
    confidence: np.ndarray,
    num_classes: int,
    keep: float,
    level: float,
    plain: float,
) -> Guarantee:
    """The cheapest threshold that keeps a share of the second tier's metric on unseen data, at a level of confidence.

    Accuracy is tested exactly, which is valid at any number of examples; F1 and MCC, which are no means over examples,
    by the percentiles of a paired bootstrap with a fixed seed, which is valid only for many.

    Args: `labels`, `tier1_predictions`, `tier2_predictions` (n,) class ids of examples drawn as the unseen ones are;
    `confidence` (n,) of the first tier; `keep` the share; `level` the confidence of the guarantee, such as 0.95;
    `plain` the threshold chosen without one.

    Raises: ValueError for a share or level that cannot be certified, or for arrays that do not fit together.

    >>> labels, sure = np.tile([0, 1], 2000), np.linspace(0.5, 1, 4000)
    >>> tier1 = np.where(sure < 0.8, 0, labels)  # below 0.8, half its answers are wrong
    >>> found = certify("accuracy", labels, tier1, labels, sure, num_classes=2, keep=0.9, level=0.95, plain=0.7)
    >>> round(found.threshold, 2), round(found.deferral_rate, 2)
    (0.71, 0.42)
    """
    _check(metric, keep, level)
    labels, tier1, tier2 = check_class_ids(
        num_classes, labels=labels, tier1_predictions=tier1_predictions, tier2_predictions=tier2_predictions
    )
    confidence = np.asarray(confidence, np.float32)
    if confidence.shape != labels.shape or not np.isfinite(confidence).all():
        raise ValueError(f"confidence must be {len(labels)} finite numbers, got an array of {confidence.shape}")
    grid = threshold_grid(num_classes)
    deferrals = np.searchsorted(-grid, -confidence)  # the first so many thresholds defer the example
    if metric == "accuracy":
        p_values = _exact(tier1 == labels, tier2 == labels, deferrals, keep)
    else:
        p_values = bootstrap_p_values(metric, labels, tier1, tier2, deferrals, STEPS, num_classes, keep)
    rate = (len(labels) - _standing(deferrals)) / len(labels)
    last = fixed_sequence(p_values, 1 - level) - 1
    certified = last >= 0 and rate[last] < 1
    hardest = np.maximum.accumulate(p_values)  # the way to a threshold leads past all safer ones
    first_useful = int(np.argmax(rate < 1))
    cheapest_safe = max(int(np.sum(grid >= np.float32(plain))) - 1, 0)
    return Guarantee(
        keep=keep,
        confidence=level,
        method=EXACT if metric == "accuracy" else BOOTSTRAP,
        n=len(labels),
        threshold=float(grid[last]) if certified else None,
        deferral_rate=float(rate[last]) if certified else None,
        examples_needed=None if certified else _needed_at_all(hardest[first_useful], len(labels), level),
        examples_for_plain=_needed_amid_losses(hardest[max(cheapest_safe, first_useful)], len(labels), level),
    )


def threshold_grid(num_classes: int) -> np.ndarray:
    """(steps,) float32 thresholds from nearly 1 down to 1/classes, where tier 1 stands alone: even in their logit.

    >>> [round(float(threshold), 4) for threshold in threshold_grid(4)[[0, 200, 399]]]
    [1.0, 0.9945, 0.25]
    """
    top, bottom = (np.log(p / (1 - p)) for p in (NEARLY_ONE, 1 / num_classes))
    return (1 / (1 + np.exp(-np.linspace(top, bottom, STEPS)))).astype(np.float32)


def fixed_sequence(p_values: np.ndarray, level: float) -> int:
    """How many hypotheses, tested in this order, are rejected before the first that is not.

    >>> fixed_sequence(np.array([0.01, 0.05, 0.2, 0.01]), level=0.05)
    2
    """
    return int(np.argmin(np.append(p_values <= level, False)))


def _exact(right1: np.ndarray, right2: np.ndarray, deferrals: np.ndarray, keep: float) -> np.ndarray:
    """(steps,) p-values of "accuracy(cascade) <= keep * accuracy(tier 2)".

    That is: losses exceed gains by (1 - keep) of tier 2's accuracy or more. This accuracy, and how often the tiers
    differ at most, namely where nothing is deferred, are not known but bounded; the bounds' own errors are added to the
    p-values (Berger and Boos 1994, "P values maximized over a confidence set for the nuisance parameter").
    """
    n, losses, gains = len(right1), right2 & ~right1, right1 & ~right2
    margin = (1 - keep) * (1 - highest_rate(int(np.sum(~right2)), n, BOUND_ERROR))
    if margin <= 0:  # a second tier that is never right leaves nothing to lose
        return np.ones(STEPS)
    most_gains = (highest_rate(int(np.sum(losses | gains)), n, BOUND_ERROR) - margin) / 2
    p_values = exact_p_values(_standing(deferrals[losses]), _standing(deferrals[gains]), n, margin, most_gains)
    return np.minimum(p_values + 2 * BOUND_ERROR, 1.0)


def _standing(deferrals: np.ndarray) -> np.ndarray:
    """(steps,) how many of some examples each threshold leaves to tier 1."""
    return np.cumsum(np.bincount(deferrals, minlength=STEPS + 1))[:STEPS]


def _needed_at_all(p_value: float, n: int, level: float) -> int | None:
    """About how many examples, n of which give this p-value, give one of 1 - level, where losses are rare.

    The chance of seeing none then falls exponentially with their number.
    """
    return _about(n * np.log(1 - level) / np.log(p_value)) if p_value < 1 else None


def _needed_amid_losses(p_value: float, n: int, level: float) -> int | None:
    """The same where losses are many: the normal quantile then grows as the square root of their number."""
    quantile = NormalDist().inv_cdf
    return _about(n * (quantile(1 - level) / quantile(p_value)) ** 2) if p_value < 0.5 else None


def _about(examples: float) -> int | None:
    """Rounded up to two figures; None for more than MOST_EXAMPLES.

    >>> _about(1234.5), _about(7.2), _about(1e9)
    (1300, 8, None)
    """
    if examples > MOST_EXAMPLES:
        return None
    unit = 10 ** max(int(np.log10(examples)) - 1, 0)
    return int(np.ceil(examples / unit)) * unit


def _check(metric: str, keep: float, level: float) -> None:
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    if not 0 < keep < 1:
        raise ValueError(f"with confidence, the share to keep must be above 0 and below 1, got {keep}")
    if not 0.5 < level <= 0.999:
        raise ValueError(f"the confidence must be above 0.5 and at most 0.999, such as 0.95, got {level}")

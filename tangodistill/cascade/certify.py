"""Certified thresholds for both kinds of answers: class ids, and graded ones. What is promised, `guarantee` says."""

from statistics import NormalDist

import numpy as np

from tangodistill.cascade.betting_test import betting_p_values, groups_to_win
from tangodistill.cascade.bootstrap import bootstrap_p_values
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.exact_test import exact_p_values, highest_rate
from tangodistill.cascade.guarantee import Guarantee, Tested, check_guarantee, guarantee
from tangodistill.metrics import METRICS, check_class_ids

EXACT, BOOTSTRAP = "an exact paired test, valid at any n", "a paired bootstrap, valid for large n"
BETTING = "a betting test of paired differences, valid at any n"
ONE_EACH = " (one example of each group)"
FEW_A_GROUP = 1.5  # examples, from where on the means of groups tell more than an exact test of one of each
BOUND_ERROR = 1e-4  # of each of two bounds that hold for all thresholds at once


def certify(
    metric: str,
    labels: np.ndarray,
    tier1_predictions: np.ndarray,
    tier2_predictions: np.ndarray,
    num_classes: int,
    calibration: CalibrationSet,
    keep: float,
    level: float,
    plain: float,
) -> Guarantee:
    """The cheapest threshold that keeps a share of the second tier's metric on unseen data, at a level of confidence.

    Accuracy is tested exactly, or by bets on the means of groups, which are valid at any number of groups; F1 and MCC,
    which are no means over examples, by the percentiles of a paired bootstrap with a fixed seed, of one example of each
    group, which is valid only for many.

    Args: `labels`, `tier1_predictions`, `tier2_predictions` (n,) class ids of the calibration examples; `keep` the
    share; `level` the confidence of the guarantee, such as 0.95; `plain` the threshold chosen without one.

    Raises: ValueError for a share or level that cannot be certified, or for arrays that do not fit together.

    >>> from tangodistill.cascade.threshold_grid import threshold_grid
    >>> labels, sure = np.tile([0, 1], 2000), np.linspace(0.5, 1, 4000)
    >>> tier1 = np.where(sure < 0.8, 0, labels)  # below 0.8, half its answers are wrong
    >>> calibration = CalibrationSet(sure, threshold_grid("max_probability", 2))
    >>> found = certify("accuracy", labels, tier1, labels, 2, calibration, keep=0.9, level=0.95, plain=0.7)
    >>> round(found.threshold, 2), round(found.deferral_rate, 2)
    (0.71, 0.42)
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    check_guarantee(keep, level)
    labels, tier1, tier2 = check_class_ids(
        num_classes, labels=labels, tier1_predictions=tier1_predictions, tier2_predictions=tier2_predictions
    )
    _check_size(calibration, len(labels))
    if metric == "accuracy":
        tested = _test_right_answers(tier1 == labels, tier2 == labels, calibration, keep, level)
    else:
        drawn, rows = calibration.one_each()
        answers = labels[rows], tier1[rows], tier2[rows]
        p_values = bootstrap_p_values(metric, *answers, drawn.deferrals, drawn.steps, num_classes, keep)
        tested = _by_p_values(_named(BOOTSTRAP, calibration), p_values, drawn.n, level)
    return guarantee(calibration, tested, keep, level, plain)


def certify_graded(
    tiers: np.ndarray, calibration: CalibrationSet, keep: float, level: float, plain: float
) -> Guarantee:
    """The same for answers graded 0..1, whose metric is the mean; valid at any number of groups.

    Where every score is 0 or 1, as in exact match, the mean is an accuracy and is tested as one.

    Args: `tiers` (2, n) scores of the calibration examples; the rest as in `certify`.

    >>> from tangodistill.cascade.threshold_grid import probability_grid
    >>> sure = np.linspace(0, 1, 4000)
    >>> tiers = np.stack([np.where(sure < 0.6, 0.3, 0.8), np.full(4000, 0.8)])
    >>> found = certify_graded(tiers, CalibrationSet(sure, probability_grid(0)), keep=0.9, level=0.95, plain=0.45)
    >>> round(found.threshold, 2), round(found.deferral_rate, 2)
    (0.46, 0.46)
    """
    check_guarantee(keep, level)
    tier1, tier2 = np.asarray(tiers, np.float64)
    _check_size(calibration, len(tier1))
    if np.isin(tiers, (0, 1)).all():
        tested = _test_right_answers(tier1 == 1, tier2 == 1, calibration, keep, level)
    else:
        tested = _test_means(tier1, tier2, calibration, keep, level)
    return guarantee(calibration, tested, keep, level, plain)


def _check_size(calibration: CalibrationSet, n: int) -> None:
    if calibration.n != n:
        raise ValueError(f"confidence must be of the {n} examples, got {calibration.n}")


def _test_right_answers(
    right1: np.ndarray, right2: np.ndarray, calibration: CalibrationSet, keep: float, level: float
) -> Tested:
    """The sizes of the groups alone say which test: none is chosen for what it finds."""
    if calibration.n > FEW_A_GROUP * len(calibration.group_sizes):
        return _test_means(right1.astype(np.float64), right2.astype(np.float64), calibration, keep, level)
    drawn, rows = calibration.one_each()
    return _exact(right1[rows], right2[rows], drawn, keep, level, _named(EXACT, calibration))


def _test_means(
    tier1: np.ndarray, tier2: np.ndarray, calibration: CalibrationSet, keep: float, level: float
) -> Tested:
    needed = groups_to_win(tier1, tier2, calibration, keep, level)
    return Tested(BETTING, betting_p_values(tier1, tier2, calibration, keep), needed, needed)


def _exact(
    right1: np.ndarray, right2: np.ndarray, drawn: CalibrationSet, keep: float, level: float, method: str
) -> Tested:
    """A test of "accuracy(cascade) <= keep * accuracy(tier 2)", of independent examples.

    That is: losses exceed gains by (1 - keep) of tier 2's accuracy or more. This accuracy, and how often the tiers
    differ at most, namely where nothing is deferred, are not known but bounded; the bounds' own errors are added to the
    p-values (Berger and Boos 1994, "P values maximized over a confidence set for the nuisance parameter").
    """
    n, losses, gains = len(right1), right2 & ~right1, right1 & ~right2
    margin = (1 - keep) * (1 - highest_rate(int(np.sum(~right2)), n, BOUND_ERROR))
    p_values = np.ones(drawn.steps)  # a second tier that is never right leaves nothing to lose
    if margin > 0:
        most_gains = (highest_rate(int(np.sum(losses | gains)), n, BOUND_ERROR) - margin) / 2
        p_values = exact_p_values(drawn.standing(losses), drawn.standing(gains), n, margin, most_gains)
    return _by_p_values(method, np.minimum(p_values + 2 * BOUND_ERROR, 1.0), n, level)


def _named(method: str, calibration: CalibrationSet) -> str:
    return method if len(calibration.group_sizes) == calibration.n else method + ONE_EACH


def _by_p_values(method: str, p_values: np.ndarray, n: int, level: float) -> Tested:
    """How many examples it takes, from the p-values of n independent ones.

    Where losses are rare, the chance of seeing none falls exponentially with the number of examples; where they are
    many, the normal quantile grows as the square root of it.
    """
    quantile = NormalDist().inv_cdf
    at_all = [n * np.log(1 - level) / np.log(p) if p < 1 else np.inf for p in p_values]
    amid_losses = [n * (quantile(1 - level) / quantile(p)) ** 2 if p < 0.5 else np.inf for p in p_values]
    return Tested(method, p_values, np.array(at_all), np.array(amid_losses))

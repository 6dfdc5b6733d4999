"""Certified thresholds for both kinds of answers: class ids, and graded ones. What is promised, `guarantee` says."""

from statistics import NormalDist

import numpy as np

from tangodistill.cascade.baselines import named_tiers
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
    answers: np.ndarray,
    num_classes: int,
    calibration: CalibrationSet,
    keep: float,
    level: float,
    plain: np.ndarray | float,
) -> Guarantee:
    """The cheapest thresholds that keep a share of the last tier's metric on unseen data, at a level of confidence.

    Accuracy is tested exactly, or by bets on the means of groups, which are valid at any number of groups; F1 and MCC,
    which are no means over examples, by the percentiles of a paired bootstrap with a fixed seed, of one example of each
    group, which is valid only for many.

    Args: `labels` (n,) and `answers` (K, n) class ids of the calibration examples; `keep` the share; `level` the
    confidence of the guarantee, such as 0.95; `plain` the thresholds (K - 1,) chosen without one.

    Raises: ValueError for a share or level that cannot be certified, or for arrays that do not fit together.

    >>> from tangodistill.cascade.threshold_grid import threshold_grid
    >>> labels, sure = np.tile([0, 1], 2000), np.linspace(0.5, 1, 4000)
    >>> tier1 = np.where(sure < 0.8, 0, labels)  # below 0.8, half its answers are wrong
    >>> calibration = CalibrationSet(sure, threshold_grid("max_probability", 2))
    >>> answers = np.stack([tier1, labels])
    >>> found = certify("accuracy", labels, answers, 2, calibration, keep=0.9, level=0.95, plain=0.7)
    >>> round(found.threshold, 2), round(found.deferral_rate, 2)
    (0.71, 0.42)
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    check_guarantee(keep, level)
    labels, *tiers = check_class_ids(num_classes, labels=labels, **named_tiers(answers))
    answers = np.stack(tiers)
    _check_size(calibration, answers)
    if metric == "accuracy":
        tested = _test_right_answers(answers == labels, calibration, keep, level)
    else:
        drawn, rows = calibration.one_each()
        p_values = bootstrap_p_values(metric, labels[rows], answers[:, rows], drawn, num_classes, keep)
        tested = _by_p_values(_named(BOOTSTRAP, calibration), p_values, drawn.n, level)
    return guarantee(calibration, tested, keep, level, plain)


def certify_graded(
    scores: np.ndarray, calibration: CalibrationSet, keep: float, level: float, plain: np.ndarray | float
) -> Guarantee:
    """The same for answers graded 0..1, whose metric is the mean; valid at any number of groups.

    Where every score is 0 or 1, as in exact match, the mean is an accuracy and is tested as one.

    Args: `scores` (K, n) of the calibration examples; the rest as in `certify`.

    >>> from tangodistill.cascade.threshold_grid import probability_grid
    >>> sure = np.linspace(0, 1, 4000)
    >>> scores = np.stack([np.where(sure < 0.6, 0.3, 0.8), np.full(4000, 0.8)])
    >>> found = certify_graded(scores, CalibrationSet(sure, probability_grid(0)), keep=0.9, level=0.95, plain=0.45)
    >>> round(found.threshold, 2), round(found.deferral_rate, 2)
    (0.46, 0.46)
    """
    check_guarantee(keep, level)
    scores = np.asarray(scores, np.float64)
    _check_size(calibration, scores)
    if np.isin(scores, (0, 1)).all():
        tested = _test_right_answers(scores == 1, calibration, keep, level)
    else:
        tested = _test_means(scores, calibration, keep, level)
    return guarantee(calibration, tested, keep, level, plain)


def _check_size(calibration: CalibrationSet, tiers: np.ndarray) -> None:
    if calibration.n != tiers.shape[1]:
        raise ValueError(f"confidence must be of the {tiers.shape[1]} examples, got {calibration.n}")
    if calibration.tiers != len(tiers):
        raise ValueError(f"confidence must be of {len(tiers) - 1} gating tiers, got {calibration.tiers - 1}")


def _test_right_answers(right: np.ndarray, calibration: CalibrationSet, keep: float, level: float) -> Tested:
    """The sizes of the groups alone say which test: none is chosen for what it finds. `right` is (K, n)."""
    if calibration.n > FEW_A_GROUP * len(calibration.group_sizes):
        return _test_means(right.astype(np.float64), calibration, keep, level)
    drawn, rows = calibration.one_each()
    return _exact(right[:, rows], drawn, keep, level, _named(EXACT, calibration))


def _test_means(scores: np.ndarray, calibration: CalibrationSet, keep: float, level: float) -> Tested:
    needed = groups_to_win(scores, calibration, keep, level)
    return Tested(BETTING, betting_p_values(scores, calibration, keep), needed, needed)


def _exact(right: np.ndarray, drawn: CalibrationSet, keep: float, level: float, method: str) -> Tested:
    """A test of "accuracy(cascade) <= keep * accuracy(last tier)", of independent examples.

    That is: losses exceed gains by (1 - keep) of the last tier's accuracy or more. This accuracy, and how often a
    cascade's answer and the last tier's differ at most, namely as often as any tier's does, are not known but bounded,
    once for all steps; the bounds' own errors are added to the p-values (Berger and Boos 1994, "P values maximized over
    a confidence set for the nuisance parameter").
    """
    n, last = drawn.n, right[-1]
    losses, gains = last & ~right, right & ~last
    margin = (1 - keep) * (1 - highest_rate(int(np.sum(~last)), n, BOUND_ERROR))
    p_values = np.ones(drawn.steps)  # a last tier that is never right leaves nothing to lose
    if margin > 0:
        differ = int(np.sum((losses | gains).any(axis=0)))
        most_gains = (highest_rate(differ, n, BOUND_ERROR) - margin) / 2
        p_values = exact_p_values(drawn.moves.total(losses), drawn.moves.total(gains), n, margin, most_gains)
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

"""Accuracy, F1, MCC and calibration error on NumPy arrays.

The three scores follow from three counts per class: how often it is true, how often predicted, and how often both.
`scores_from_counts` turns counts of any shape into scores, so one definition serves two arrays, a million thresholds,
or a set of random draws. Where a denominator is zero the score is 0, as in scikit-learn. The scores of extracted
answers are kept in `squad_scores` and found here too.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tangodistill.squad_scores import squad as squad
from tangodistill.squad_scores import squad_scores as squad_scores

METRICS = ("accuracy", "f1", "mcc")
_TITLES = {"em": "exact match", "f1": "F1", "mcc": "MCC"}

Counts = tuple[np.ndarray | int, np.ndarray | int, np.ndarray | int]
"""Of one class: times true, times predicted, times both (int64, one shape or broadcastable)."""


def metric_title(metric: str, label_names: Sequence[str] = (), positive: str | None = None) -> str:
    """What a metric is called wherever somebody reads it: which class an F1 is of is part of its name.

    Args: `label_names` in id order, none where answers are graded; `positive` of two, by default the second.

    >>> metric_title("f1", ("fraud", "legit"), "fraud"), metric_title("f1", ("a", "b", "c")), metric_title("f1")
    ('F1 of fraud', 'macro F1', 'F1')
    """
    title = _TITLES.get(metric, metric)
    if metric != "f1" or not label_names:
        return title
    return f"{title} of {positive or label_names[1]}" if len(label_names) == 2 else f"macro {title}"


def positive_id(label_names: Sequence[str], positive: str | None) -> int:
    """Id of the class of two that F1 is of; without a name, the second.

    >>> positive_id(("fraud", "legit"), "fraud"), positive_id(("ham", "spam"), None)
    (0, 1)
    """
    return 1 if positive is None else list(label_names).index(positive)


def positive_last(ids: np.ndarray, num_classes: int, positive: int) -> np.ndarray:
    """Class ids with the positive one of two classes as class 1, whose F1 is computed; of more classes as they are.

    Accuracy and MCC don't change when two classes change places.

    >>> positive_last(np.array([0, 1, 1]), num_classes=2, positive=0).tolist()
    [1, 0, 0]
    """
    return 1 - np.asarray(ids) if num_classes == 2 and positive == 0 else ids


def class_counts(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> Iterator[Counts]:
    """The counts of each class in id order, of class ids (n,) int64."""
    true = np.bincount(labels, minlength=num_classes)
    predicted = np.bincount(predictions, minlength=num_classes)
    hit = np.bincount(labels[labels == predictions], minlength=num_classes)
    return zip(true, predicted, hit, strict=True)


def scores_from_counts(classes: Iterable[Counts]) -> dict[str, np.ndarray]:
    """Accuracy, F1 and MCC from the counts of each class in id order, read one class at a time.

    F1 is that of class 1 for two classes, and beyond the unweighted mean over the classes that are true or predicted
    at least once (scikit-learn's macro average). MCC is the multiclass form of Gorodkin (2004), "Comparing two
    K-category assignments by a K-category correlation coefficient".

    Returns: one float64 array per metric, of the counts' shape.

    >>> {name: round(float(value), 3) for name, value in scores_from_counts([(3, 2, 2), (2, 3, 2)]).items()}
    {'accuracy': 0.8, 'f1': 0.8, 'mcc': 0.667}
    """
    seen = n = correct = chance = predicted_squares = true_squares = 0
    f1_sum = present = 0.0
    for true, predicted, hit in classes:
        seen += 1
        size = true + predicted
        f1 = 2 * hit / np.maximum(size, 1)
        f1_sum, present = f1_sum + f1, present + (size > 0)
        n, correct, chance = n + true, correct + hit, chance + true * predicted
        predicted_squares, true_squares = predicted_squares + predicted * predicted, true_squares + true * true
    # whole numbers up to here: the covariances are exact
    norm = np.sqrt(np.float64(n * n - true_squares) * (n * n - predicted_squares))
    mcc = (n * correct - chance) / np.where(norm > 0, norm, np.inf)
    return {"accuracy": correct / n, "f1": f1 if seen == 2 else f1_sum / present, "mcc": mcc}


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of predictions that equal their label; both (n,) class ids.

    >>> accuracy([0, 1, 1, 0], [0, 1, 0, 0])
    0.75
    """
    return score("accuracy", labels, predictions)


def f1(labels: np.ndarray, predictions: np.ndarray, num_classes: int, positive: int = 1) -> float:
    """F1 of the positive class of two, macro F1 beyond; both (n,) class ids.

    >>> f1([0, 1, 1, 0], [0, 1, 1, 1], num_classes=2)
    0.8
    """
    return score("f1", labels, predictions, num_classes, positive)


def mcc(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Matthews correlation coefficient, any number of classes; both (n,) class ids.

    >>> mcc([0, 1, 2, 2], [0, 1, 2, 2])
    1.0
    """
    return score("mcc", labels, predictions)


def score(
    name: str, labels: np.ndarray, predictions: np.ndarray, num_classes: int | None = None, positive: int = 1
) -> float:
    """The metric of that name, "accuracy", "f1" or "mcc"; without `num_classes`, as many as the ids need.

    Args: `positive` the class of two that F1 is of.

    Raises: ValueError for an unknown name, arrays of different lengths, no examples, or ids out of range.

    >>> score("accuracy", [0, 1], [1, 1])
    0.5
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; known: {', '.join(METRICS)}")
    if num_classes is None:
        num_classes = int(max(np.max(labels, initial=1), np.max(predictions, initial=1))) + 1
    checked = check_class_ids(num_classes, labels=labels, predictions=predictions)
    labels, predictions = (positive_last(ids, num_classes, positive) for ids in checked)
    return float(scores_from_counts(class_counts(labels, predictions, num_classes))[name])


def best_constant(name: str, labels: np.ndarray, num_classes: int, positive: int = 1) -> tuple[int, float]:
    """The class that it is best to give as every answer, and what that scores; `labels` (n,) class ids.

    >>> best_constant("accuracy", [0, 1, 1, 1], num_classes=2), best_constant("mcc", [0, 1], num_classes=2)
    ((1, 0.75), (0, 0.0))
    """
    scores = [score(name, labels, np.full(len(labels), each), num_classes, positive) for each in range(num_classes)]
    return int(np.argmax(scores)), max(scores)


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over equal-width bins of confidence, weighted by their size.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", eq. 3; bins are open on the left.

    Args: `confidence` (n,) in 0..1; `correct` (n,) bool.

    >>> expected_calibration_error([0.75, 0.75, 0.5, 0.5], [True, True, True, False])
    0.125
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(bin_of, confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def check_class_ids(num_classes: int, **arrays: np.ndarray) -> list[np.ndarray]:
    """The named arrays as (n,) int64 class ids.

    Raises: ValueError, naming the array, unless all are one-dimensional, equally long, not empty, and within
    0..num_classes-1.
    """
    if num_classes < 2:
        raise ValueError(f"at least two classes are needed, got num_classes={num_classes}")
    checked = []
    for name, values in arrays.items():
        ids = np.asarray(values)
        if ids.ndim != 1 or not ids.size or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} must be a non-empty list of integer class ids, got {ids.dtype} of {ids.shape}")
        if checked and len(ids) != len(checked[0]):
            raise ValueError(f"{name} has {len(ids)} entries, {next(iter(arrays))} has {len(checked[0])}")
        if ids.min() < 0 or ids.max() >= num_classes:
            row = int(np.argmax((ids < 0) | (ids >= num_classes)))
            raise ValueError(f"{name}[{row}] is {ids[row]}, outside the class ids 0..{num_classes - 1}")
        checked.append(ids.astype(np.int64, copy=False))
    return checked

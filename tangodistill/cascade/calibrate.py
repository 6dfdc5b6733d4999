"""Whether the first tier's confidence means what it says, and whether it ranks right answers above wrong ones.

A temperature is not fitted: with two classes it leaves the order of the examples, and with it every operating point, as
it is.
"""

import numpy as np

from tangodistill.cascade.gates import rank
from tangodistill.metrics import expected_calibration_error


def calibration(correct: np.ndarray, confidence: np.ndarray) -> dict[str, float | None]:
    """Expected calibration error and AUROC of the confidence for the correctness of the answers.

    Args: `correct` (n,) bool; `confidence` (n,), of which only a probability of the answer has a calibration error
    that means anything.

    >>> calibration(np.array([True, True, False]), np.array([0.75, 1.0, 0.5]))
    {'ece': 0.25, 'auroc': 1.0}
    """
    return {"ece": expected_calibration_error(confidence, correct), "auroc": auroc(confidence, correct)}


def auroc(confidence: np.ndarray, correct: np.ndarray) -> float | None:
    """Chance that a right answer has more confidence than a wrong one, ties counting half (Mann and Whitney, 1947).

    None where all answers are right, or all wrong.

    Args: `confidence` (n,); `correct` (n,) bool.

    >>> auroc([0.5, 0.5, 0.9], [False, True, True])
    0.75
    """
    correct = np.asarray(correct, bool)
    order, _, below = rank(confidence)
    right = np.add.reduceat(correct[order], below[:-1], dtype=np.int64)
    wrong = np.diff(below) - right
    pairs = right.sum() * wrong.sum()
    wrong_below = np.cumsum(wrong) - wrong
    return float((right * (wrong_below + wrong / 2)).sum() / pairs) if pairs else None

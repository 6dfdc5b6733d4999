"""How long the sweep of a million examples takes, against the loops that a user would write instead.

    python benchmarks/sweep.py [--examples 1000000] [--loop-examples 10000]

A loop over thresholds does linear work at each of about n thresholds. It is timed on fewer examples and scaled by the
square of their ratio; scikit-learn's loop on a part of its thresholds. Prints a table, then the same as JSON.
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.metrics import METRICS

SCIKIT_LEARN_THRESHOLDS = 200


def random_cascade(n: int) -> tuple[np.ndarray, ...]:
    """Labels, the answers of a tier at 0.88 and one at 0.93 accuracy, and confidences in 0.5..1, each (n,)."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    tier1, tier2 = (np.where(rng.random(n) < accuracy, labels, 1 - labels) for accuracy in (0.88, 0.93))
    return labels, tier1, tier2, 0.5 + rng.random(n, np.float32) / 2


def sweep(cascade: tuple[np.ndarray, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Every threshold, and each metric at it."""
    labels, tier1, tier2, confidence = cascade
    threshold, moves = Gates(confidence).sweep()
    return threshold, ClassOutcomes(labels, [tier1, tier2], 2).metrics_at(moves)


def numpy_scores(labels: np.ndarray, answers: np.ndarray) -> tuple[float, float, float]:
    """Accuracy, F1 and MCC of two classes, written down plainly."""
    n, true, predicted = len(labels), float(labels.sum()), float(answers.sum())
    hit = float((labels & answers).sum())
    norm = (true * (n - true) * predicted * (n - predicted)) ** 0.5
    return (n - true - predicted + 2 * hit) / n, 2 * hit / (true + predicted), (n * hit - true * predicted) / norm


def scikit_learn_scores(labels: np.ndarray, answers: np.ndarray) -> tuple[float, float, float]:
    return accuracy_score(labels, answers), f1_score(labels, answers), matthews_corrcoef(labels, answers)


def loop(score: Callable, thresholds: np.ndarray, cascade: tuple[np.ndarray, ...]) -> tuple[float, np.ndarray]:
    """Seconds of scoring the cascade at each threshold in turn, and the scores (thresholds, 3)."""
    labels, tier1, tier2, confidence = cascade
    start = time.perf_counter()
    scores = [score(labels, np.where(confidence < threshold, tier2, tier1)) for threshold in thresholds]
    return time.perf_counter() - start, np.array(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--loop-examples", type=int, default=10_000)
    arguments = parser.parse_args()

    cascade = random_cascade(arguments.examples)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        sweep(cascade)
        seconds.append(time.perf_counter() - start)
    sweep_s = float(np.median(seconds))

    small = random_cascade(arguments.loop_examples)
    thresholds, metrics = sweep(small)
    expected = np.stack([metrics[name] for name in METRICS], axis=1)
    some = np.linspace(0, len(thresholds) - 1, SCIKIT_LEARN_THRESHOLDS).astype(int)
    squared = (arguments.examples / arguments.loop_examples) ** 2
    result = {"examples": arguments.examples, "sweep_s": sweep_s, "loop_examples": arguments.loop_examples}
    print(f"{'':24}{'timed on':>12}{'seconds':>12}{f'for {arguments.examples:,}':>18}{'ratio':>14}")
    print(f"{'one-pass sweep':24}{arguments.examples:>12,}{sweep_s:>12.3f}{sweep_s:>16.3f} s{1:>14,}")
    for name, score, rows in (
        ("numpy loop", numpy_scores, np.arange(len(thresholds))),
        ("scikit-learn loop", scikit_learn_scores, some),
    ):
        part_s, scores = loop(score, thresholds[rows], small)
        np.testing.assert_allclose(scores, expected[rows], rtol=1e-9)
        loop_s = part_s * len(thresholds) / len(rows)
        scaled_s = loop_s * squared
        print(f"{name:24}{arguments.loop_examples:>12,}{loop_s:>12.3f}{scaled_s:>16,.0f} s{scaled_s / sweep_s:>14,.0f}")
        result[name.replace(" ", "_").replace("-", "_")] = {
            "seconds": loop_s,
            "scaled_s": scaled_s,
            "ratio": scaled_s / sweep_s,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

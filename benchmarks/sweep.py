"""How long the sweep of a million examples takes, against the loops that a user would write instead.

    python benchmarks/sweep.py [--examples 1000000] [--loop-examples 10000] [--three-tiers 1821 20000]

A loop over thresholds does linear work at each of about n thresholds. It is timed on fewer examples and scaled by the
square of their ratio; scikit-learn's loop on a part of its thresholds. Then the best front of three tiers, whose pairs
of thresholds are as many as examples squared, and the most memory that it takes. Prints tables, then the same as JSON.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.timing import TierTime, Timing
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


def three_tiers(n: int) -> tuple[ClassOutcomes, np.ndarray, Timing]:
    """Tiers at about 0.84, 0.91 and 0.96 accuracy, 20 and 5 times slower than the one before."""
    rng = np.random.default_rng(0)
    labels, ease = rng.integers(0, 2, n), rng.gamma(2.0, 1.0, n)
    margins = np.stack([(1 + 0.4 * k) * ease - 0.7 + 0.2 * k + rng.normal(0, 0.5, n) for k in range(3)])
    tiers = tuple(
        TierTime(s * rng.uniform(0.7, 1.3, n), np.array([1, 16]), np.array([s, s / 2]), 16) for s in (2e-4, 4e-3, 2e-2)
    )
    outcomes = ClassOutcomes(labels, np.where(margins > 0, labels, 1 - labels), 2)
    return outcomes, (1 / (1 + np.exp(-2 * np.abs(margins[:2])))).astype(np.float32), Timing(tiers)


def time_three_tiers(sizes: list[int]) -> list[dict]:
    print(f"{'three tiers':24}{'examples':>12}{'seconds':>12}{'memory':>15}{'points':>10}{'exact':>8}")
    rows = []
    for n in sizes:
        part, start = three_tiers(n), time.perf_counter()
        front = best_front(*part, "accuracy")
        seconds = time.perf_counter() - start
        tracemalloc.start()
        best_front(*part, "accuracy")
        megabytes = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        rows.append({"examples": n, "seconds": seconds, "mb": megabytes, "points": len(front), "exact": front.exact})
        print(f"{'best front':24}{n:>12,}{seconds:>12.2f}{megabytes:>12.1f} MB{len(front):>10,}{front.exact!s:>8}")
    return rows


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
    parser.add_argument("--three-tiers", type=int, nargs="*", default=[1821, 20_000])
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
    print(json.dumps({**result, "three_tiers": time_three_tiers(arguments.three_tiers)}))


if __name__ == "__main__":
    main()

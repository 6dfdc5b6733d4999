"""How often a threshold that was chosen on a calibration set keeps its promise, from a finished cascade's predictions.

    python benchmarks/guarantee.py FOLDER [--draws 200] [--calibration 872] [--keep 0.99] [--metric mcc] [--json FILE]

FOLDER is a cascade folder, or a parquet file like its predictions.parquet. Both roles' rows are pooled, and the pool is
taken for the truth. "pool": calibration sets are drawn from it with replacement, as from unseen data without end, and
judged on all of it: this is what the guarantee speaks of. "rest": they are drawn without, and judged on the rows left
over, which are few themselves and say less. Speedups are one example at a time; without measured times, tier 2 is taken
to be 20 times slower than tier 1.
"""

import argparse
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.outcomes import Outcomes, outcomes_of
from tangodistill.cascade.sweep import Sweep
from tangodistill.runtime.measured_files import read_metric

KINDS = ("plain", "certified")


@dataclass(frozen=True)
class Examples:
    """What both tiers made of n examples."""

    outcomes: Outcomes
    confidence: np.ndarray
    """(n,) of the first tier."""
    times_s: np.ndarray
    """(2, n) of both tiers."""

    @cached_property
    def points(self) -> Sweep:
        return self.outcomes.sweep(self.confidence)

    def drawn(self, rows: np.ndarray) -> "Examples":
        return Examples(self.outcomes.drawn(rows), self.confidence[rows], self.times_s[:, rows])


def pooled(path: Path) -> Examples:
    """All rows with both tiers' answers, from a cascade folder or one file."""
    names = ("predictions.parquet", "calibration_predictions.parquet")
    rows = pd.concat([pd.read_parquet(file) for file in ([path / name for name in names] if path.is_dir() else [path])])
    times = [rows.get(f"tier{tier}_time_s", pd.Series(s, rows.index)).to_numpy(float) for tier, s in ((1, 1), (2, 20))]
    positive = read_metric(path).positive_id if path.is_dir() else 1
    return Examples(outcomes_of(rows, positive), rows["confidence"].to_numpy(), np.stack(times))


def chosen(examples: Examples, metric: str, keep: float, level: float) -> dict[str, float | None]:
    """The plain threshold of a calibration set, the lowest that keeps the share on it, and the certified one."""
    values = examples.points.metric(metric)
    plain = float(examples.points.threshold[np.argmax(values >= keep * values[-1])])
    certified = examples.outcomes.certify(metric, examples.confidence, keep, level, plain).threshold
    return {"plain": plain, "certified": certified}


def judged(examples: Examples, threshold: float | None, metric: str, keep: float) -> dict[str, float]:
    """What a threshold does on examples that are taken for the truth; without one, tier 2 answers alone."""
    points, (tier1_s, tier2_s) = examples.points, examples.times_s
    second = points.metric(metric)[-1]
    if threshold is None:
        return {"found": 0.0, "keeps": 1.0, "deferral": 1.0, "speedup": 1.0, "metric": second}
    point = min(int(np.searchsorted(points.threshold, np.float32(threshold))), len(points.threshold) - 1)
    value, deferred = points.metric(metric)[point], points.order[: points.deferred[point]]
    return {
        "found": 1.0,
        "keeps": float(value >= keep * second - 1e-12),
        "deferral": float(points.deferral_rate[point]),
        "speedup": float(tier2_s.sum() / (tier1_s.sum() + tier2_s[deferred].sum())),
        "metric": float(value),
    }


def measure(pool: Examples, arguments: argparse.Namespace) -> list[dict]:
    """One row per way of drawing and kind of threshold, means over the draws."""
    size, found = pool.outcomes.n, []
    for way in ("pool", "rest"):
        if way == "rest" and arguments.calibration >= size:
            continue
        judgements = {kind: [] for kind in KINDS}
        for draw in range(arguments.draws):
            rng = np.random.default_rng(draw)
            rows = rng.choice(size, arguments.calibration, replace=way == "pool")
            truth = pool if way == "pool" else pool.drawn(np.setdiff1d(np.arange(size), rows))
            wanted = (arguments.metric, arguments.keep)
            for kind, threshold in chosen(pool.drawn(rows), *wanted, arguments.confidence).items():
                judgements[kind].append(judged(truth, threshold, *wanted))
        for kind in KINDS:
            means = pd.DataFrame(judgements[kind]).mean().to_dict()
            found.append({"judged_on": way, "threshold": kind, **means})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--calibration", type=int, default=872, help="examples of each calibration set")
    parser.add_argument("--keep", type=float, default=0.99)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--metric", help="accuracy, f1 or mcc of labels, f1 or em of spans; accuracy or f1 by default")
    parser.add_argument("--json", type=Path, help="file to write the rows to as well")
    arguments = parser.parse_args()

    pool = pooled(arguments.folder)
    arguments.metric = arguments.metric or ("accuracy" if "accuracy" in pool.outcomes.metrics else "f1")
    if arguments.metric not in pool.outcomes.metrics:
        parser.error(f"--metric {arguments.metric}: {arguments.folder} has {', '.join(pool.outcomes.metrics)}")
    rows = measure(pool, arguments)
    print(f"{arguments.draws} draws of {arguments.calibration}: keep {arguments.keep:g} of {arguments.metric}")
    print(f"{'judged on':10} {'threshold':10} {'found':>7} {'keeps':>7} {'deferral':>9} {'speedup':>8} {'metric':>7}")
    for row in rows:
        print(
            f"{row['judged_on']:10} {row['threshold']:10} {row['found']:7.1%} {row['keeps']:7.1%} "
            f"{row['deferral']:9.1%} {row['speedup']:7.2f}x {row['metric']:7.4f}"
        )
    if arguments.json:
        settings = {name: str(value) for name, value in vars(arguments).items() if name != "json"}
        arguments.json.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

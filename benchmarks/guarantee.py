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
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.certify import certify
from tangodistill.cascade.confidence import confidence
from tangodistill.cascade.sweep import sweep
from tangodistill.metrics import METRICS, score

KINDS = ("plain", "certified")
Cascade = dict[str, np.ndarray]
"""Columns (n,): labels, tier1, tier2 (class ids), confidence, tier1_s, tier2_s."""


def pooled(path: Path) -> tuple[Cascade, int]:
    """All rows with both tiers' answers, from a cascade folder or one file, and the number of classes."""
    names = ("predictions.parquet", "calibration_predictions.parquet")
    rows = pd.concat([pd.read_parquet(file) for file in ([path / name for name in names] if path.is_dir() else [path])])
    first, second = (np.stack(rows[f"tier{tier}_logits"].to_numpy()) for tier in (1, 2))
    times = {f"tier{tier}_s": rows.get(f"tier{tier}_time_s", pd.Series(s, rows.index)) for tier, s in ((1, 1), (2, 20))}
    pool = {
        "labels": rows["label"].to_numpy(),
        "tier1": first.argmax(axis=1),
        "tier2": second.argmax(axis=1),
        "confidence": confidence(first),
        **{name: column.to_numpy(np.float64) for name, column in times.items()},
    }
    return pool, first.shape[1]


def take(cascade: Cascade, rows: np.ndarray) -> Cascade:
    return {name: column[rows] for name, column in cascade.items()}


def chosen(cascade: Cascade, classes: int, metric: str, keep: float, level: float) -> dict[str, float | None]:
    """The plain threshold of a calibration set, the lowest that keeps the share on it, and the certified one."""
    answers = [cascade[name] for name in ("labels", "tier1", "tier2", "confidence")]
    points = sweep(*answers, classes)
    values = points.metric(metric)
    plain = float(points.threshold[np.argmax(values >= keep * values[-1])])
    return {"plain": plain, "certified": certify(metric, *answers, classes, keep, level, plain).threshold}


def judged(cascade: Cascade, classes: int, threshold: float | None, metric: str, keep: float) -> dict[str, float]:
    """What a threshold does on examples that are taken for the truth; without one, tier 2 answers alone."""
    labels, tier1, tier2 = (cascade[name] for name in ("labels", "tier1", "tier2"))
    second = score(metric, labels, tier2, classes)
    if threshold is None:
        return {"found": 0.0, "keeps": 1.0, "deferral": 1.0, "speedup": 1.0, "metric": second}
    deferred = cascade["confidence"] < np.float32(threshold)
    value = score(metric, labels, np.where(deferred, tier2, tier1), classes)
    time_s = cascade["tier1_s"].sum() + cascade["tier2_s"][deferred].sum()
    speedup = cascade["tier2_s"].sum() / time_s
    return {
        "found": 1.0,
        "keeps": float(value >= keep * second - 1e-12),
        "deferral": float(deferred.mean()),
        "speedup": float(speedup),
        "metric": value,
    }


def measure(pool: Cascade, classes: int, arguments: argparse.Namespace) -> list[dict]:
    """One row per way of drawing and kind of threshold, means over the draws."""
    size, found = len(pool["labels"]), []
    for way in ("pool", "rest"):
        if way == "rest" and arguments.calibration >= size:
            continue
        judgements = {kind: [] for kind in KINDS}
        for draw in range(arguments.draws):
            rng = np.random.default_rng(draw)
            rows = rng.choice(size, arguments.calibration, replace=way == "pool")
            truth = pool if way == "pool" else take(pool, np.setdiff1d(np.arange(size), rows))
            wanted = (arguments.metric, arguments.keep)
            for kind, threshold in chosen(take(pool, rows), classes, *wanted, arguments.confidence).items():
                judgements[kind].append(judged(truth, classes, threshold, *wanted))
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
    parser.add_argument("--metric", choices=METRICS, default="accuracy")
    parser.add_argument("--json", type=Path, help="file to write the rows to as well")
    arguments = parser.parse_args()

    rows = measure(*pooled(arguments.folder), arguments)
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

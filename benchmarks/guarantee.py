"""How often thresholds that were chosen on a calibration set keep their promise.

    python benchmarks/guarantee.py [--draws 400] [--keep 0.99] [--json FILE]
    python benchmarks/guarantee.py FOLDER [--draws 400] [--calibration 872] [--keep 0.99] [--metric mcc] [--json FILE]

Without FOLDER, calibration sets are drawn from populations whose truth is known (`known_populations.py`). In some, rows
come in groups, as the questions of an article: a group's effect moves the chance that tier 1 is wrong, in logits. They
are certified by their groups, and, to show what that is for, as if rows were independent. In another, five first tiers
are equally good, and the one whose cascade is cheapest is picked, on a selection set as `tune` does, or on the
calibration set itself. In others there are three and four tiers.

FOLDER is a cascade folder, or one or more parquet files like its predictions.parquet, of any number of tiers. All rows
are pooled, and the pool is taken for the truth. "pool": calibration sets are drawn from it with replacement, group by
group where the rows have groups, as from unseen data without end, and judged on all of it: this is what the guarantee
speaks of. "rest": they are drawn without, and judged on the rows left over, which are few themselves and say less. The
path of more than two tiers is fixed on a selection set that is drawn likewise, for each draw anew. Speedups are one
example at a time; without measured times, each tier is taken to be 20 times slower than the one before, or --ms says.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from known_populations import simulate

from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import Target, choose
from tangodistill.cascade.columns import column, confidences_of
from tangodistill.cascade.confidence import confidence
from tangodistill.cascade.front import points_at
from tangodistill.cascade.outcomes import Outcomes, outcomes_of
from tangodistill.cascade.path import equal_risk_path
from tangodistill.cascade.summary import operating_points, path_points
from tangodistill.cascade.timing import TierTime, Timing
from tangodistill.predictor.answers import readout_of
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.tuning.measured_files import read_metric

Thresholds = Sequence[float] | None


@dataclass(frozen=True)
class Pool:
    """What the tiers made of n examples."""

    outcomes: Outcomes
    confidences: np.ndarray
    timing: Timing
    grid: np.ndarray
    """Of the score, thresholds that may be certified."""
    groups: np.ndarray
    """(n,) equal numbers for rows that are not independent."""

    @property
    def all(self) -> tuple[Outcomes, np.ndarray, Timing]:
        return self.outcomes, self.confidences, self.timing

    @cached_property
    def members(self) -> list[np.ndarray]:
        """The rows of each group."""
        order = np.argsort(self.groups, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.groups[order])) + 1)

    def drawn(self, groups: np.ndarray) -> "Pool":
        """The rows of some groups; one that comes twice is two."""
        members = [self.members[group] for group in groups]
        rows, again = np.concatenate(members), np.repeat(np.arange(len(members)), list(map(len, members)))
        outcomes, confidences, timing = self.outcomes.drawn(rows), self.confidences[:, rows], self.timing.drawn(rows)
        return replace(self, outcomes=outcomes, confidences=confidences, timing=timing, groups=again)

    def enough(self, order: np.ndarray, rows: int) -> np.ndarray:
        """The first so many groups that hold at least so many rows."""
        sizes = np.array(list(map(len, self.members)))
        return order[: 1 + np.argmax(np.cumsum(sizes[order]) >= rows)]


def pooled(paths: list[Path], ms: list[float] | None) -> Pool:
    """All rows with every tier's answers, from a cascade folder or files."""
    folder = paths[0] if paths[0].is_dir() else None
    names = ("predictions.parquet", "calibration_predictions.parquet")
    tables = [pd.read_parquet(file) for file in ([folder / name for name in names] if folder else paths)]
    groups, seen = [], 0
    for table in tables:
        groups.append(table.get("group", pd.Series(range(len(table)))).to_numpy() + seen)
        seen = groups[-1].max() + 1
    rows = pd.concat(tables, ignore_index=True)
    outcomes = outcomes_of(rows, read_metric(folder).positive_id if folder else 1)
    tiers = range(1, outcomes.tiers + 1)
    seconds = [rows.get(column(t, "time_s"), pd.Series(20.0**t, rows.index)).to_numpy(float) for t in tiers]
    if ms:
        seconds = [np.full(len(rows), each / 1000) for each in ms]
    timing = Timing(tuple(TierTime(each, np.array([1]), each[:1], 1) for each in seconds))
    labels = [str(c) for c in range(len(rows["tier1_logits"].iloc[0]))] if "label" in rows else []
    readout = readout_of(labels, read_cascade(folder).score if folder else "max_probability")
    if any(name.endswith("confidence") for name in rows):
        sure = confidences_of(rows)
    else:
        sure = np.stack([confidence(np.stack(rows[column(tier, "logits")].to_list())) for tier in tiers[:-1]])
    return Pool(outcomes, sure, timing, readout.thresholds, np.concatenate(groups))


def chosen(selection: Pool, own: Pool, metric: str, keep: float, level: float) -> dict[str, Thresholds]:
    """The plain thresholds of a calibration set, and the certified ones, of more than two tiers along two paths."""
    target, several = Target("keep", keep), own.outcomes.tiers > 2
    path = equal_risk_path(selection.outcomes, selection.confidences, own.grid, metric)
    points = path_points(*own.all, path) if several else operating_points(*own.all)
    try:
        plain = choose(points, target, metric).thresholds
    except ValueError:  # the safest step falls short
        plain = tuple(map(float, path[0]))
    paths = {"certified": path}
    if several:
        paths["certified, front"] = best_front(*selection.all, metric).thresholds[::-1]
    found: dict[str, Thresholds] = {"plain": plain}
    for kind, each in paths.items():
        calibration = CalibrationSet(own.confidences, each, own.groups)
        found[kind] = own.outcomes.certify(metric, calibration, keep, level, plain).thresholds
    return found


def judged(truth: Pool, thresholds: Thresholds, metric: str, keep: float) -> dict[str, float]:
    """What thresholds do on examples that are taken for the truth; without any, the last tier answers alone."""
    last = truth.outcomes.tier_score(truth.outcomes.tiers, metric)
    if thresholds is None:
        return {"found": 0.0, "keeps": 1.0, "deferral": 1.0, "speedup": 1.0, "metric": last}
    point = points_at(*truth.all, np.array([thresholds], np.float32))
    value = float(point.metrics[metric][0])
    return {
        "found": 1.0,
        "keeps": float(value >= keep * last - 1e-12),
        "deferral": float(point.passed[0, -1] / truth.outcomes.n),
        "speedup": float(truth.timing.reference.example_s.sum() / point.time_s[0]),
        "metric": value,
    }


def measure(pool: Pool, arguments: argparse.Namespace) -> list[dict]:
    """One row per way of drawing and kind of threshold, means over the draws."""
    found, count, several = [], len(pool.members), pool.outcomes.tiers > 2
    wanted = arguments.metric, arguments.keep
    for way in ("pool", "rest"):
        if way == "rest" and arguments.calibration * (1 + several) >= pool.outcomes.n:
            continue
        judgements: dict[str, list[dict]] = {}
        for draw in range(arguments.draws):
            rng = np.random.default_rng(draw)
            order = rng.choice(count, arguments.calibration) if way == "pool" else rng.permutation(count)
            groups, used = pool.enough(order, arguments.calibration), np.zeros(0, int)
            if several:
                others = rng.choice(count, arguments.calibration) if way == "pool" else order[len(groups) :]
                used = pool.enough(others, arguments.calibration)
            selection = pool.drawn(used if several else groups)
            left = np.setdiff1d(np.arange(count), np.append(groups, used))
            truth = pool if way == "pool" else pool.drawn(left)
            for kind, thresholds in chosen(selection, pool.drawn(groups), *wanted, arguments.confidence).items():
                judgements.setdefault(kind, []).append(judged(truth, thresholds, *wanted))
        for kind, results in judgements.items():
            found.append({"judged_on": way, "threshold": kind, **pd.DataFrame(results).mean().to_dict()})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="*")
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--calibration", type=int, default=872, help="examples of each calibration set")
    parser.add_argument("--keep", type=float, default=0.99)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--metric", help="accuracy, f1 or mcc of labels, f1 or em of spans; accuracy or f1 by default")
    parser.add_argument("--ms", type=float, nargs="+", help="of each tier, one text at a time")
    parser.add_argument("--json", type=Path, help="file to write the rows to as well")
    arguments = parser.parse_args()

    rows = judge_rows(arguments, parser) if arguments.folder else simulate(arguments)
    if arguments.json:
        settings = {name: str(value) for name, value in vars(arguments).items() if name != "json"}
        arguments.json.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2), encoding="utf-8")


def judge_rows(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> list[dict]:
    """The pool of a folder's or some files' rows."""
    pool = pooled(arguments.folder, arguments.ms)
    arguments.metric = arguments.metric or ("accuracy" if "accuracy" in pool.outcomes.metrics else "f1")
    if arguments.metric not in pool.outcomes.metrics:
        parser.error(f"--metric {arguments.metric}: {arguments.folder[0]} has {', '.join(pool.outcomes.metrics)}")
    rows = measure(pool, arguments)
    print(f"{arguments.draws} draws of {arguments.calibration}: keep {arguments.keep:g} of {arguments.metric}")
    print(f"{'judged on':10} {'threshold':16} {'found':>7} {'keeps':>7} {'deferral':>9} {'speedup':>8} {'metric':>7}")
    for row in rows:
        print(
            f"{row['judged_on']:10} {row['threshold']:16} {row['found']:7.1%} {row['keeps']:7.1%} "
            f"{row['deferral']:9.1%} {row['speedup']:7.2f}x {row['metric']:7.4f}"
        )
    return rows


if __name__ == "__main__":
    main()

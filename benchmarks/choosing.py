"""What thresholds that were chosen by one rule or another keep on other examples.

    python benchmarks/choosing.py PREDICTIONS... --ms 0.15 4.0 11.1 --ms-in-batches 0.05 1.0 5.6
                                  [--splits 500] [--keep 0.99 0.98] [--metric accuracy] [--json FILE]

PREDICTIONS are parquet files like a cascade's predictions.parquet, of two or more tiers. Their rows are pooled and
split at random, again and again, into three parts of equal size: a path is fixed on the first, a point is chosen on the
second, and what it keeps and costs is read on the third. Times are what each tier adds to a text, the same for each.

Rules: "free" takes the cheapest of all thresholds on the second part. The others choose one step of a path: the best
front of the first part; equal confidence of all tiers; equal risk, as `cascade/path.py` fits it; and equal risk of the
tiers alone that pay on the first part. Of a path's steps, "cheapest" takes the cheapest that keeps the share; "first
miss" the last before the first that doesn't; "one loss more" the last before the first that wouldn't if it lost one
example more, which is what `choose` does. Two tiers, the first and the last, stand beside them, by their own rule.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.choose import Target, choose
from tangodistill.cascade.columns import column
from tangodistill.cascade.confidence import confidence
from tangodistill.cascade.front import Front, every_point, points_at
from tangodistill.cascade.outcomes import Outcomes, outcomes_of
from tangodistill.cascade.path import equal_risk_path
from tangodistill.cascade.paying_tiers import choose_tiers
from tangodistill.cascade.summary import path_points
from tangodistill.cascade.threshold_grid import threshold_grid
from tangodistill.cascade.timing import TierTime, Timing


@dataclass(frozen=True)
class Part:
    """Some examples, through some of the tiers."""

    outcomes: Outcomes
    confidences: np.ndarray
    timing: Timing
    metric: str

    @property
    def all(self) -> tuple[Outcomes, np.ndarray, Timing]:
        return self.outcomes, self.confidences, self.timing

    def drawn(self, rows: np.ndarray) -> "Part":
        columns = self.outcomes.drawn(rows), self.confidences[:, rows], self.timing.drawn(rows)
        return replace(self, outcomes=columns[0], confidences=columns[1], timing=columns[2])

    def subset(self, tiers: tuple[int, ...]) -> "Part":
        gates = [tier - 1 for tier in tiers[:-1]]
        return Part(self.outcomes.subset(tiers), self.confidences[gates], self.timing.subset(tiers), self.metric)

    @property
    def last(self) -> float:
        return self.outcomes.tier_score(self.outcomes.tiers, self.metric)

    @property
    def grid(self) -> np.ndarray:
        return threshold_grid("max_probability", self.outcomes.num_classes)


Chosen = tuple[tuple[int, ...], np.ndarray | None]
"""The tiers, and their thresholds; None: the last tier answers alone."""
Rule = Callable[[Part, Part, float], Chosen]
"""From the part that a path is fixed on, the part that is chosen on, and the share to keep."""


def everyone(part: Part) -> tuple[int, ...]:
    return tuple(range(1, part.outcomes.tiers + 1))


def free(fixed: Part, chosen: Part, keep: float) -> Chosen:
    return everyone(chosen), cheapest(best_front(*chosen.all, chosen.metric), chosen, keep)


def cheapest(points: Front, part: Part, keep: float) -> np.ndarray | None:
    meets = np.flatnonzero(points.metrics[part.metric] >= keep * part.last)
    return points.thresholds[meets[np.argmin(points.cost[meets])]] if len(meets) else None


def first_miss(points: Front, part: Part, keep: float) -> np.ndarray | None:
    """Of points from the safest to the cheapest."""
    kept = int(np.argmin(np.append(points.metrics[part.metric] >= keep * part.last, False)))
    return points.thresholds[kept - 1] if kept else None


def one_loss_more(points: Front, part: Part, keep: float) -> np.ndarray | None:
    table = path_points(*part.all, points.thresholds)
    try:
        return np.array(choose(table, Target("keep", keep), part.metric).thresholds, np.float32)
    except ValueError:
        return None


def front_path(part: Part) -> np.ndarray:
    return best_front(*part.all, part.metric).thresholds[::-1]


def equal_confidence_path(part: Part) -> np.ndarray:
    return np.tile(part.grid[:, None], part.outcomes.tiers - 1)


def risk_path(part: Part) -> np.ndarray:
    return equal_risk_path(part.outcomes, part.confidences, part.grid, part.metric)


def along(path: Callable[[Part], np.ndarray], pick: Callable[[Front, Part, float], np.ndarray | None]) -> Rule:
    def rule(fixed: Part, chosen: Part, keep: float) -> Chosen:
        return everyone(chosen), pick(points_at(*chosen.all, path(fixed)), chosen, keep)

    return rule


def paying(fixed: Part, chosen: Part, keep: float) -> Chosen:
    try:
        tiers = choose_tiers(*fixed.all, fixed.grid, fixed.metric, Target("keep", keep)).tiers
    except ValueError:
        return everyone(fixed), None
    return tiers, along(risk_path, one_loss_more)(fixed.subset(tiers), chosen.subset(tiers), keep)[1]


def two_tiers(fixed: Part, chosen: Part, keep: float) -> Chosen:
    tiers = (1, chosen.outcomes.tiers)
    part = chosen.subset(tiers)
    return tiers, cheapest(every_point(*part.all), part, keep)


RULES: dict[str, Rule] = {
    "free, cheapest": free,
    "selection's front, cheapest": along(front_path, cheapest),
    "selection's front, first miss": along(front_path, first_miss),
    "selection's front, one loss more": along(front_path, one_loss_more),
    "equal confidence, cheapest": along(equal_confidence_path, cheapest),
    "equal confidence, one loss more": along(equal_confidence_path, one_loss_more),
    "equal risk, cheapest": along(risk_path, cheapest),
    "equal risk, first miss": along(risk_path, first_miss),
    "equal risk, one loss more": along(risk_path, one_loss_more),
    "equal risk, one loss more, tiers that pay": paying,
    "two tiers, cheapest": two_tiers,
}


def judged(part: Part, chosen: Chosen, keep: float) -> dict[str, float]:
    tiers, thresholds = chosen
    if thresholds is None:
        return {"kept": 1.0, "short": 0.0, "batch1": 1.0, "best_batch": 1.0, "tiers": float(len(tiers))}
    point, alone = points_at(*part.subset(tiers).all, thresholds[None]), part.timing.reference
    value = float(point.metrics[part.metric][0])
    return {
        "kept": value / part.last,
        "short": float(value < keep * part.last - 1e-12),
        "batch1": float(point.time_s[0] / alone.example_s.sum()),
        "best_batch": float(point.time_best_batch_s[0] / alone.best_batch_s),
        "tiers": float(len(tiers)),
    }


def compare(pool: Part, keeps: list[float], splits: int) -> list[dict]:
    """One row per share asked and rule: means over the splits; `below` is how often half a point or more is missing."""
    found: dict[tuple[float, str], list[dict]] = {(keep, name): [] for keep in keeps for name in RULES}
    for split in range(splits):
        order = np.random.default_rng(split).permutation(pool.outcomes.n)
        fixed, chosen, held_out = (pool.drawn(rows) for rows in np.array_split(order, 3))
        for keep, name in found:
            found[keep, name].append(judged(held_out, RULES[name](fixed, chosen, keep), keep))
    rows = []
    for (keep, name), results in found.items():
        table = pd.DataFrame(results)
        below = float((table["kept"] < keep - 0.005).mean())
        speeds = {f"speedup_{way}": float(1 / table[way].mean()) for way in ("batch1", "best_batch")}
        means = table[["kept", "short", "tiers"]].mean().to_dict()
        rows.append({"keep": keep, "rule": name, **means, "below": below, **speeds})
    return rows


def pooled(files: list[Path], ms: list[float], ms_in_batches: list[float], metric: str) -> Part:
    tables = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    outcomes, n = outcomes_of(tables), len(tables)
    logits = [np.stack(tables[column(tier, "logits")].to_list()) for tier in range(1, outcomes.tiers)]
    sizes = np.array([1, 32])
    tiers = tuple(
        TierTime(np.full(n, one / 1000), sizes, np.array([one, many]) / 1000, best=32)
        for one, many in zip(ms, ms_in_batches, strict=True)
    )
    return Part(outcomes, np.stack([confidence(each) for each in logits]), Timing(tiers), metric)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--ms", type=float, nargs="+", required=True, help="of each tier, one text at a time")
    parser.add_argument("--ms-in-batches", type=float, nargs="+", required=True, help="of each tier, a text of a batch")
    parser.add_argument("--splits", type=int, default=500)
    parser.add_argument("--keep", type=float, nargs="+", default=[0.99, 0.98])
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--json", type=Path, help="file to write the rows to as well")
    arguments = parser.parse_args()

    pool = pooled(arguments.files, arguments.ms, arguments.ms_in_batches, arguments.metric)
    rows = compare(pool, arguments.keep, arguments.splits)
    print(f"{arguments.splits} splits of {pool.outcomes.n:,} rows: {arguments.metric}, on the third part")
    heads = f"{'kept':>7} {'short':>6} {'-0.5 %':>6} {'one by one':>10} {'batches':>8} {'tiers':>5}"
    print(f"{'asked':6} {'rule':42} {heads}")
    for row in rows:
        print(
            f"{row['keep']:<6g} {row['rule']:42} {row['kept']:7.2%} {row['short']:6.0%} {row['below']:6.0%} "
            f"{row['speedup_batch1']:9.2f}x {row['speedup_best_batch']:7.2f}x {row['tiers']:5.2f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

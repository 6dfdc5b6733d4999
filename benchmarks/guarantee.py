"""How often a threshold that was chosen on a calibration set keeps its promise.

    python benchmarks/guarantee.py [--draws 400] [--keep 0.99] [--json FILE]
    python benchmarks/guarantee.py FOLDER [--draws 400] [--calibration 872] [--keep 0.99] [--metric mcc] [--json FILE]

Without FOLDER, calibration sets are drawn from populations whose truth is known. In some, rows come in groups, as the
questions of an article: a group's effect moves the chance that tier 1 is wrong, in logits. They are certified by their
groups, and, to show what that is for, as if rows were independent. In another, five first tiers are equally good, and
the one whose cascade is cheapest is picked, on a selection set as `tune` does, or on the calibration set itself.

FOLDER is a cascade folder, or a parquet file like its predictions.parquet. Both roles' rows are pooled, and the pool is
taken for the truth. "pool": calibration sets are drawn from it with replacement, group by group where the rows have
groups, as from unseen data without end, and judged on all of it: this is what the guarantee speaks of. "rest": they are
drawn without, and judged on the rows left over, which are few themselves and say less. Speedups are one example at a
time; without measured times, tier 2 is taken to be 20 times slower than tier 1.
"""

import argparse
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.front import Front, every_point
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.outcomes import ClassOutcomes, Outcomes, outcomes_of
from tangodistill.cascade.threshold_grid import threshold_grid
from tangodistill.cascade.timing import TierTime, Timing
from tangodistill.predictor.answers import readout_of
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.tuning.measured_files import read_metric

KINDS = ("plain", "certified")


@dataclass(frozen=True)
class Examples:
    """What both tiers made of n examples."""

    outcomes: Outcomes
    confidence: np.ndarray
    """(n,) of the first tier."""
    times_s: np.ndarray
    """(2, n) of both tiers."""
    thresholds: np.ndarray
    """Of the score, that may be certified."""
    groups: np.ndarray
    """(n,) equal numbers for rows that are not independent."""

    @cached_property
    def points(self) -> Front:
        one_by_one = (TierTime(seconds, np.array([1]), seconds[:1], 1) for seconds in self.times_s)
        return every_point(self.outcomes, self.confidence, Timing(tuple(one_by_one)))

    @cached_property
    def members(self) -> list[np.ndarray]:
        """The rows of each group."""
        order = np.argsort(self.groups, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.groups[order])) + 1)

    def drawn(self, groups: np.ndarray) -> "Examples":
        """The rows of some groups; one that comes twice is two."""
        members = [self.members[group] for group in groups]
        rows, again = np.concatenate(members), np.repeat(np.arange(len(members)), list(map(len, members)))
        return Examples(
            self.outcomes.drawn(rows), self.confidence[rows], self.times_s[:, rows], self.thresholds, again
        )


def pooled(path: Path) -> Examples:
    """All rows with both tiers' answers, from a cascade folder or one file."""
    names = ("predictions.parquet", "calibration_predictions.parquet")
    tables = [pd.read_parquet(file) for file in ([path / name for name in names] if path.is_dir() else [path])]
    groups = [table.get("group", pd.Series(range(len(table)))).to_numpy() for table in tables]
    groups[1:] = [own + groups[0].max() + 1 for own in groups[1:]]
    rows = pd.concat(tables)
    times = [rows.get(f"tier{tier}_time_s", pd.Series(s, rows.index)).to_numpy(float) for tier, s in ((1, 1), (2, 20))]
    names = [str(c) for c in range(len(rows["tier1_logits"].iloc[0]))] if "label" in rows else []
    readout = readout_of(names, read_cascade(path).score if path.is_dir() else "max_probability")
    confidence = rows["confidence"].to_numpy()
    outcomes = outcomes_of(rows, read_metric(path).positive_id if path.is_dir() else 1)
    return Examples(outcomes, confidence, np.stack(times), readout.thresholds, np.concatenate(groups))


def chosen(examples: Examples, metric: str, keep: float, level: float) -> dict[str, float | None]:
    """The plain threshold of a calibration set, the lowest that keeps the share on it, and the certified one."""
    values = examples.points.metrics[metric]
    plain = float(examples.points.thresholds[np.argmax(values >= keep * values[-1]), 0])
    calibration = CalibrationSet(examples.confidence, examples.thresholds, examples.groups)
    certified = examples.outcomes.certify(metric, calibration, keep, level, plain).threshold
    return {"plain": plain, "certified": certified}


def judged(examples: Examples, threshold: float | None, metric: str, keep: float) -> dict[str, float]:
    """What a threshold does on examples that are taken for the truth; without one, tier 2 answers alone."""
    points, thresholds = examples.points, examples.points.thresholds[:, 0]
    second = points.metrics[metric][-1]
    if threshold is None:
        return {"found": 0.0, "keeps": 1.0, "deferral": 1.0, "speedup": 1.0, "metric": second}
    point = min(int(np.searchsorted(thresholds, np.float32(threshold))), len(points) - 1)
    value = points.metrics[metric][point]
    return {
        "found": 1.0,
        "keeps": float(value >= keep * second - 1e-12),
        "deferral": float(points.passed[point, 0] / examples.outcomes.n),
        "speedup": float(examples.times_s[1].sum() / points.time_s[point]),
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
            count, sizes = len(pool.members), np.array(list(map(len, pool.members)))
            order = rng.choice(count, arguments.calibration) if way == "pool" else rng.permutation(count)
            groups = order[: 1 + np.argmax(np.cumsum(sizes[order]) >= arguments.calibration)]
            truth = pool if way == "pool" else pool.drawn(np.setdiff1d(np.arange(count), groups))
            wanted = (arguments.metric, arguments.keep)
            for kind, threshold in chosen(pool.drawn(groups), *wanted, arguments.confidence).items():
                judgements[kind].append(judged(truth, threshold, *wanted))
        for kind in KINDS:
            means = pd.DataFrame(judgements[kind]).mean().to_dict()
            found.append({"judged_on": way, "threshold": kind, **means})
    return found


@dataclass(frozen=True)
class Population:
    """Groups of rows: tier 2 is right at 0.9, tier 1 the surer the oftener, and in some groups oftener than in others.

    Tier 1 loses what tier 2 has right with a chance whose logit falls from 0 at no confidence by 9 for each of its, and
    gains a fiftieth of the rest.
    """

    spread: float
    """Standard deviation of the groups' effects, in logits of a loss."""

    def draw(self, rng: np.random.Generator, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right answers of both tiers, and confidences, of groups of these sizes."""
        effect, n = np.repeat(rng.normal(0, self.spread, len(sizes)), sizes), int(np.sum(sizes))
        sure, right2 = rng.uniform(0.5, 1, n), rng.random(n) < 0.9
        lost, gained = rng.random(n) < self._loss(sure, effect), rng.random(n) < 0.02
        return np.where(right2, ~lost, gained), right2, sure

    def keeps(self, threshold: float | None, keep: float) -> bool:
        """Whether the cascade keeps the share on all rows that there are."""
        if threshold is None:
            return True
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        sure = np.linspace(threshold, 1, 2001)
        loss = self._loss(sure[:, None], self.spread * nodes) @ weights / weights.sum()
        changed = np.trapezoid(0.9 * loss - 0.1 * 0.02, sure) / 0.5
        return bool(changed <= (1 - keep) * 0.9)

    def _loss(self, sure: np.ndarray, effect: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(9 * sure - 4.5 - effect))


def certified(right1, right2, sure, groups, arguments: argparse.Namespace) -> tuple[float | None, float]:
    """The certified threshold of a calibration set, and how much it defers."""
    calibration = CalibrationSet(sure, threshold_grid("max_probability", 2), groups)
    outcomes = ClassOutcomes(np.ones(len(sure), int), np.stack([right1, right2]).astype(int), 2)
    found = outcomes.certify("accuracy", calibration, arguments.keep, arguments.confidence, 0.5)
    return found.threshold, 1.0 if found.threshold is None else found.deferral_rate


def grouped_draws(sizes: list[int], spread: float, by_groups: bool, arguments: argparse.Namespace) -> dict:
    """Calibration sets of groups, certified by their groups or as if rows were independent."""
    population, groups = Population(spread), np.repeat(range(len(sizes)), sizes)
    draws = (population.draw(np.random.default_rng(draw), sizes) for draw in range(arguments.draws))
    results = [certified(*rows, groups if by_groups else None, arguments) for rows in draws]
    about = f"{len(sizes):,} groups, {len(groups):,} rows, effects of sd {spread}"
    return _row(about, "by groups" if by_groups else "as if rows were independent", results, population, arguments)


def chosen_draws(arguments: argparse.Namespace, tiers: int = 5, n: int = 2000) -> list[dict]:
    """Of equal first tiers the one with the cheapest cascade, picked on other rows than it is certified on, or not."""
    population, found = Population(0.0), []
    for picked_on, way in enumerate(("picked on the calibration set itself", "picked on a selection set")):
        results = []
        for draw in range(arguments.draws):
            rng = np.random.default_rng(draw)
            sets = [[population.draw(rng, np.ones(n, int)) for _ in range(tiers)] for _ in (0, 1)]
            costs = [_plain_deferral(*rows, arguments.keep) for rows in sets[picked_on]]
            results.append(certified(*sets[0][int(np.argmin(costs))], None, arguments))
        found.append(_row(f"{tiers} equal tiers, {n:,} rows", way, results, population, arguments))
    return found


def _plain_deferral(right1: np.ndarray, right2: np.ndarray, sure: np.ndarray, keep: float) -> float:
    _, moves = Gates(sure).sweep()
    accuracy = moves.total(np.stack([right1, right2])) / len(sure)
    return float(moves.made[np.argmax(accuracy >= keep * right2.mean())] / len(sure))


def _row(about: str, way: str, results: list, population: Population, arguments: argparse.Namespace) -> dict:
    row = {
        "population": about,
        "certified": way,
        "broken": float(np.mean([not population.keeps(threshold, arguments.keep) for threshold, _ in results])),
        "found": float(np.mean([threshold is not None for threshold, _ in results])),
        "deferral": float(np.mean([deferral for _, deferral in results])),
    }
    print(f"{about:48} {way:38} {row['broken']:7.1%} {row['found']:7.1%} {row['deferral']:9.1%}", flush=True)
    return row


def simulate(arguments: argparse.Namespace) -> list[dict]:
    """All populations whose truth is known."""
    print(f"{arguments.draws} draws: keep {arguments.keep:g} of accuracy, {arguments.confidence:.0%} confidence")
    print(f"{'population':48} {'certified':38} {'broken':>7} {'found':>7} {'deferral':>9}", flush=True)
    rows = chosen_draws(arguments)
    for spread in (0.3, 0.5, 1.0):
        rows += [grouped_draws([200] * 10, spread, by_groups, arguments) for by_groups in (True, False)]
    return rows + [grouped_draws(sizes, 1.0, True, arguments) for sizes in ([2] * 1000, [4] * 500, [1, 1, 2, 6] * 200)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--calibration", type=int, default=872, help="examples of each calibration set")
    parser.add_argument("--keep", type=float, default=0.99)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--metric", help="accuracy, f1 or mcc of labels, f1 or em of spans; accuracy or f1 by default")
    parser.add_argument("--json", type=Path, help="file to write the rows to as well")
    arguments = parser.parse_args()

    rows = simulate(arguments) if arguments.folder is None else judge_folder(arguments, parser)
    if arguments.json:
        settings = {name: str(value) for name, value in vars(arguments).items() if name != "json"}
        arguments.json.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2), encoding="utf-8")


def judge_folder(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> list[dict]:
    """The pool of a folder's rows."""
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
    return rows


if __name__ == "__main__":
    main()

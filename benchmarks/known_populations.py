"""Populations whose truth is known, for `guarantee.py`: how often is what is certified on draws of them broken?

In all of them the last tier is right at 0.9. A tier before it loses what the last has right with a chance whose logit
falls from 0 at a confidence of a half, and gains a fiftieth of the rest.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.guarantee import Guarantee
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.path import equal_risk_path
from tangodistill.cascade.threshold_grid import threshold_grid
from tangodistill.cascade.timing import TierTime, Timing

GRID = threshold_grid("max_probability", 2)
SLOPES = (9, 13, 18)
"""By which the logit of a loss falls for each of a confidence, of each tier before the last."""
Drawn = tuple[np.ndarray, np.ndarray]
"""Right answers (K, n), and confidences (K - 1, n)."""


@dataclass(frozen=True)
class Population:
    """Groups of rows, in some of which the first tier is right oftener than in others."""

    spread: float = 0.0
    """Standard deviation of the groups' effects, in logits of a loss."""
    tiers: int = 2

    def draw(self, rng: np.random.Generator, sizes: np.ndarray) -> Drawn:
        """Groups of these sizes."""
        effect, n = np.repeat(rng.normal(0, self.spread, len(sizes)), sizes), int(np.sum(sizes))
        sure, last = rng.uniform(0.5, 1, (self.tiers - 1, n)), rng.random(n) < 0.9
        lost = [rng.random(n) < self._loss(gate, own, effect) for gate, own in enumerate(sure)]
        gained = rng.random((self.tiers - 1, n)) < 0.02
        return np.append(np.where(last, ~np.stack(lost), gained), last[None], axis=0), sure

    def keeps(self, thresholds: Iterable[float] | None, keep: float) -> bool:
        """Whether the cascade keeps the share on all rows that there are."""
        if thresholds is None:
            return True
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        changed, reaching = 0.0, 1.0
        for gate, threshold in enumerate(thresholds):
            sure = np.linspace(max(threshold, 0.5), 1, 2001)
            loss = self._loss(gate, sure[:, None], self.spread * nodes) @ weights / weights.sum()
            changed += reaching * np.trapezoid(0.9 * loss - 0.1 * 0.02, sure) / 0.5
            reaching *= (max(threshold, 0.5) - 0.5) / 0.5
        return bool(changed <= (1 - keep) * 0.9)

    def _loss(self, gate: int, sure: np.ndarray, effect: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(SLOPES[gate] * (sure - 0.5) - effect))


def outcomes_of(right: np.ndarray) -> ClassOutcomes:
    return ClassOutcomes(np.ones(right.shape[1], int), right.astype(int), 2)


def certified(drawn: Drawn, path: np.ndarray, groups: np.ndarray | None, arguments: argparse.Namespace) -> Guarantee:
    calibration = CalibrationSet(drawn[1], path, groups)
    return outcomes_of(drawn[0]).certify("accuracy", calibration, arguments.keep, arguments.confidence, path[-1])


def grouped_draws(sizes: list[int], spread: float, by_groups: bool, arguments: argparse.Namespace) -> dict:
    """Calibration sets of groups, certified by their groups or as if rows were independent."""
    population, groups = Population(spread), np.repeat(range(len(sizes)), sizes)
    draws = (population.draw(np.random.default_rng(draw), sizes) for draw in range(arguments.draws))
    results = [certified(rows, GRID, groups if by_groups else None, arguments) for rows in draws]
    about = f"{len(sizes):,} groups, {len(groups):,} rows, effects of sd {spread}"
    return _row(about, "by groups" if by_groups else "as if rows were independent", results, population, arguments)


def chosen_draws(arguments: argparse.Namespace, tiers: int = 5, n: int = 2000) -> list[dict]:
    """Of equal first tiers the one with the cheapest cascade, picked on other rows than it is certified on, or not."""
    population, found = Population(), []
    for picked_on, way in enumerate(("picked on the calibration set itself", "picked on a selection set")):
        results = []
        for draw in range(arguments.draws):
            rng = np.random.default_rng(draw)
            sets = [[population.draw(rng, np.ones(n, int)) for _ in range(tiers)] for _ in (0, 1)]
            costs = [_plain_deferral(*rows, arguments.keep) for rows in sets[picked_on]]
            results.append(certified(sets[0][int(np.argmin(costs))], GRID, None, arguments))
        found.append(_row(f"{tiers} equal tiers, {n:,} rows", way, results, population, arguments))
    return found


def _plain_deferral(right: np.ndarray, sure: np.ndarray, keep: float) -> float:
    _, moves = Gates(sure).sweep()
    accuracy = moves.total(right) / right.shape[1]
    return float(moves.made[np.argmax(accuracy >= keep * right[-1].mean())] / right.shape[1])


def path_draws(arguments: argparse.Namespace, tiers: int, n: int = 2000) -> list[dict]:
    """More tiers, along a path that is fixed on a selection set, or, to show what that is for, on the same rows."""
    population, found = Population(tiers=tiers), []
    ways = {"equal risks of a selection set": (0, equal_risk)}
    if tiers == 3:
        ways |= {"front of a selection set": (0, front), "front of the calibration set itself": (1, front)}
    for way, (fixed_on, path) in ways.items():
        results = []
        for draw in range(arguments.draws):
            rng = np.random.default_rng(draw)
            sets = [population.draw(rng, np.ones(n, int)) for _ in (0, 1)]
            results.append(certified(sets[1], path(sets[fixed_on]), None, arguments))
        found.append(_row(f"{tiers} tiers, {n:,} rows", way, results, population, arguments))
    return found


def equal_risk(drawn: Drawn) -> np.ndarray:
    return equal_risk_path(outcomes_of(drawn[0]), drawn[1], GRID, "accuracy")


def front(drawn: Drawn) -> np.ndarray:
    """The best front from its safest point, each tier being five times as dear as the one before."""
    ones = np.ones(drawn[0].shape[1])
    tiers = (TierTime(5.0**tier * ones, np.array([1]), np.array([5.0**tier]), 1) for tier in range(len(drawn[0])))
    return best_front(outcomes_of(drawn[0]), drawn[1], Timing(tuple(tiers)), "accuracy").thresholds[::-1]


def _row(about: str, way: str, results: list[Guarantee], population: Population, arguments: argparse.Namespace) -> dict:
    row = {
        "population": about,
        "certified": way,
        "broken": float(np.mean([not population.keeps(found.thresholds, arguments.keep) for found in results])),
        "found": float(np.mean([found.thresholds is not None for found in results])),
        "deferral": float(np.mean([1.0 if found.thresholds is None else found.deferral_rate for found in results])),
    }
    print(f"{about:48} {way:38} {row['broken']:7.1%} {row['found']:7.1%} {row['deferral']:9.1%}", flush=True)
    return row


def simulate(arguments: argparse.Namespace) -> list[dict]:
    """All populations."""
    print(f"{arguments.draws} draws: keep {arguments.keep:g} of accuracy, {arguments.confidence:.0%} confidence")
    print(f"{'population':48} {'certified':38} {'broken':>7} {'found':>7} {'deferral':>9}", flush=True)
    rows = [row for tiers in (3, 4) for row in path_draws(arguments, tiers)] + chosen_draws(arguments)
    for spread in (0.3, 0.5, 1.0):
        rows += [grouped_draws([200] * 10, spread, by_groups, arguments) for by_groups in (True, False)]
    return rows + [grouped_draws(sizes, 1.0, True, arguments) for sizes in ([2] * 1000, [4] * 500, [1, 1, 2, 6] * 200)]

"""Evolutionary search of length configurations that are fast and good: what to measure next."""

from collections.abc import Iterator, Mapping

import numpy as np

from tangodistill.models.length_configuration import Lengths, crossover, mutate, sample, smallest
from tangodistill.tuning.pareto import pareto_front, upper_hull

POPULATION = 20
BROOD = 10
"""Configurations measured before the next are bred, mutants and crossovers in turn; Kim and Cho breed 30 of each. Each
is run on this machine for real here, so what was found is used at once."""
LOWEST = 0.05
"""Share of the tokens that mutation leaves the last layer."""
STEEPEST = 0.5
"""Share of the tokens that one layer of a random start drops at most."""

Measured = Mapping[Lengths, tuple[float, float]]
"""Configuration -> (time, score)."""


def generations(layers: int, seed: int, measured: Measured) -> Iterator[list[Lengths]]:
    """Lists of configurations to measure, without end; `measured` must hold each list's before the next is asked for.

    Kim and Cho 2021, "Length-Adaptive Transformer", §3.4: random ones, the full network and the smallest of LengthDrop
    before them, then mutants and crossovers of the best. They depend on the seed and on what was measured of earlier
    lists, and on nothing else, so that a search can be replayed from its record.
    """
    rng = np.random.default_rng(seed)
    found = dict.fromkeys([(1.0,) * layers, smallest(layers)])
    while len(found) < POPULATION:
        found[sample(layers, rng, STEEPEST)] = None
    seen = list(found)
    yield from (seen[start : start + BROOD] for start in range(0, POPULATION, BROOD))
    while True:
        elders, bred = parents(seen, measured), {}
        for _ in range(BROOD // 2):
            one, left, right = (elders[i] for i in rng.integers(len(elders), size=3))
            bred |= dict.fromkeys([mutate(one, rng, LOWEST), crossover(left, right)])
        wanted = [lengths for lengths in bred if lengths not in set(seen)]
        yield wanted
        seen += wanted


def parents(configurations: list[Lengths], measured: Measured) -> list[Lengths]:
    """Up to `POPULATION`: those on the upper hull, then of the front, then of the front without these, and so on."""
    times, scores = np.array([measured[lengths] for lengths in configurations]).T
    chosen = list(_spread(upper_hull(times, scores), POPULATION))
    left = np.arange(len(configurations))
    while len(chosen) < POPULATION and len(left):
        front = left[pareto_front(times[left], scores[left])]
        left = np.setdiff1d(left, front)
        chosen += list(_spread(front[~np.isin(front, chosen)], POPULATION - len(chosen)))
    return [configurations[i] for i in chosen]


def _spread(front: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of a front, spread evenly along it.

    >>> _spread(np.array([4, 7, 1, 0]), 2).tolist()
    [4, 0]
    """
    return front[np.unique(np.linspace(0, len(front) - 1, min(count, len(front))).astype(int))]

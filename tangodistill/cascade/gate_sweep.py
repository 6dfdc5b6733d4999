"""The operating points along one tier's threshold that may be worth their cost, the others' thresholds fixed."""

import numpy as np

from tangodistill.cascade.front import Front
from tangodistill.cascade.gates import Gates, levels
from tangodistill.cascade.moves import prefix_sums
from tangodistill.cascade.outcomes import Outcomes
from tangodistill.cascade.timing import Timing


def gate_sweep(
    outcomes: Outcomes, gates: Gates, timing: Timing, metric: str, thresholds: np.ndarray, gate: int
) -> Front:
    """The best points along the threshold of one gate, from 0, cheapest first.

    A higher threshold costs more. It is worth that only if one of the examples that it passes on in addition may gain
    by that, and if the metric is then better than at every lower one.
    """
    threshold, moves = gates.sweep(gate, thresholds)
    may_gain = outcomes.may_gain(metric, moves.before, moves.after, moves.row)
    points = _rises(prefix_sums(may_gain)[moves.made])
    own = np.tile(np.asarray(thresholds, np.float32), (len(points), 1))
    own[:, gate] = threshold[points]
    front = Front.of(own, moves.at(points), outcomes, timing)
    return front.at(_rises(np.maximum.accumulate(front.metrics[metric])))


def worthwhile_thresholds(outcomes: Outcomes, gates: Gates, metric: str, gate: int) -> np.ndarray:
    """(k,) float32 ascending: those of one gate that may be worth their cost, whatever the others' thresholds.

    The first passes no example on.
    """
    order = gates.orders[gate]
    threshold, below = levels(gates.confidences[gate][order])
    later = range(gate + 1, outcomes.tiers)
    may_gain = np.any([outcomes.may_gain(metric, gate, tier, order) for tier in later], axis=0)
    return threshold[_rises(prefix_sums(may_gain)[below])]


def _rises(values: np.ndarray) -> np.ndarray:
    """Where ascending values rise, the first included.

    >>> _rises(np.array([0, 0, 1, 1, 3])).tolist()
    [0, 2, 4]
    """
    return np.flatnonzero(np.append(True, values[1:] > values[:-1]))

"""Fast against good: the points worth having of many that were measured."""

import numpy as np


def pareto_front(seconds: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices, by rising seconds, of the points (n,) that no other equals or beats in both; of equal ones the first.

    Public code of Dynamic-TinyBERT keeps all points of equal cost.

    >>> pareto_front(np.array([3.0, 1.0, 2.0, 1.0, 1.0]), np.array([0.9, 0.5, 0.5, 0.5, 0.4])).tolist()
    [1, 0]
    """
    order = np.lexsort((-scores, seconds))
    ranked = scores[order]
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], ranked[:-1]]))
    return order[ranked > best_before]


def upper_hull(seconds: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Those of the front that lie on its upper convex hull: no mix of two others is as fast and as good.

    >>> upper_hull(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.6, 0.9])).tolist()
    [0, 2]
    """
    hull: list[int] = []
    for point in pareto_front(seconds, scores):
        while len(hull) > 1:
            before, last = hull[-2:]
            rise = (scores[last] - scores[before]) * (seconds[point] - seconds[before])
            if rise > (scores[point] - scores[before]) * (seconds[last] - seconds[before]):
                break
            hull.pop()
        hull.append(int(point))
    return np.array(hull)


def hypervolume(seconds: np.ndarray, scores: np.ndarray, slowest: float, worst: float) -> float:
    """Area that the front dominates, within `slowest` seconds and above the score `worst`.

    >>> hypervolume(np.array([1.0, 2.0]), np.array([0.5, 0.75]), slowest=4.0, worst=0.25)
    1.25
    """
    inside = (seconds <= slowest) & (scores >= worst)
    seconds, scores = seconds[inside], scores[inside]
    front = pareto_front(seconds, scores)
    until = np.append(seconds[front[1:]], slowest)
    return float(((until - seconds[front]) * (scores[front] - worst)).sum())

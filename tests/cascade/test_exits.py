"""The sweep of the exits against a plain loop that runs every threshold."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tangodistill.cascade.exits import exit_points

LEVELS = [0.0, 0.1, 0.2, float(np.nextafter(np.float32(0.2), np.float32(1))), 0.5, 0.6931]


class Case(NamedTuple):
    labels: np.ndarray
    answers: np.ndarray
    entropies: np.ndarray
    seconds: np.ndarray
    second_only_s: float
    classes: int


@st.composite
def cases(draw, max_size=20):
    """Few examples at two to five exits, whose entropies often tie, within an example and across."""
    n, exits, classes = draw(st.integers(1, max_size)), draw(st.integers(2, 5)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    entropies = rng.choice(LEVELS, (n, exits - 1))
    free = rng.random((n, exits - 1)) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return Case(
        rng.integers(0, classes, n),
        rng.integers(0, classes, (n, exits)),
        np.where(free, rng.random(entropies.shape), entropies).astype(np.float32),
        np.cumsum(rng.uniform(1, 5, (n, exits)) / 1000, axis=1),
        0.2,
        classes,
    )


def run(case: Case, threshold: float) -> list[int]:
    """The exit that each example takes, one after the other."""
    taken = []
    for row in case.entropies:
        number = 0
        while number < len(row) and not row[number] < threshold:
            number += 1
        taken.append(number)
    return taken


@given(cases())
def test_the_sweep_equals_running_with_every_threshold(case):
    points, exits = exit_points(*case), case.answers.shape[1]
    seen = set()
    for i, threshold in enumerate(points["threshold"]):
        taken = run(case, threshold)
        seen.add(tuple(taken))
        answers = [case.answers[row, number] for row, number in enumerate(taken)]
        counts = [points[f"exit{number + 1}"][i] for number in range(exits)]
        assert counts == [taken.count(number) for number in range(exits)]
        time_s = sum(case.seconds[row, number] for row, number in enumerate(taken))
        assert points["time_s"][i] == pytest.approx(time_s)
        assert points["speedup"][i] == pytest.approx(0.2 / time_s)
        assert points["throughput_per_s"][i] == pytest.approx(len(taken) / time_s)
        f1 = {"average": "binary"} if case.classes == 2 else {"average": "macro"}
        assert points["accuracy"][i] == pytest.approx(accuracy_score(case.labels, answers))
        assert points["f1"][i] == pytest.approx(f1_score(case.labels, answers, zero_division=0, **f1))
        assert points["mcc"][i] == pytest.approx(matthews_corrcoef(case.labels, answers))
    # no way of leaving is left out
    for value in [*np.unique(case.entropies), np.float32(9)]:
        assert tuple(run(case, value)) in seen


@given(cases())
def test_the_first_point_runs_every_layer_and_the_last_one_layer(case):
    points, (n, exits) = exit_points(*case), case.answers.shape
    assert points["threshold"].dtype == np.float32 and (np.diff(points["threshold"]) > 0).all()
    assert points[f"exit{exits}"][0] == n and points["time_s"][0] == pytest.approx(case.seconds[:, -1].sum())
    assert points["exit1"][-1] == n and points["time_s"][-1] == pytest.approx(case.seconds[:, 0].sum())
    assert (np.diff(points["time_s"]) < 0).all()


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"need entropies \(2, 2\) and seconds \(2, 3\), got \(2, 3\) and \(2, 3\)"):
        exit_points(np.array([0, 1]), np.zeros((2, 3), int), np.zeros((2, 3)), np.zeros((2, 3)), 1.0, 2)


def test_entropies_must_be_numbers():
    with pytest.raises(ValueError, match="finite"):
        exit_points(np.array([0]), np.zeros((1, 2), int), np.array([[np.nan]]), np.ones((1, 2)), 1.0, 2)

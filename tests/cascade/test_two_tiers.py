"""Two tiers come to what they came to when there were no more: two_tiers.json holds what was computed then."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tangodistill.cascade.calibration_set import CalibrationSet
from tangodistill.cascade.choose import Target, choose, point_at
from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.examples import examples_of
from tangodistill.cascade.intervals import summary_intervals
from tangodistill.cascade.outcomes import outcomes_of
from tangodistill.cascade.summary import chosen_with_confidence, operating_points, summarise
from tangodistill.cascade.threshold_grid import probability_grid, threshold_grid
from tangodistill.cascade.timing import timing_of

CASES = json.loads((Path(__file__).parent / "two_tiers.json").read_text())
GUARANTEED = ("threshold", "deferral_rate", "n", "groups", "groups_needed", "groups_for_plain", "method", "keep")


class Case:
    def __init__(self, name):
        case = CASES[name]
        self.found, self.batches, self.summary = case["found"], case["batches"], case["summary"]
        self.table = {
            key: np.asarray(values, np.float32 if key == "confidence" or "logits" in key else None)
            for key, values in case["table"].items()
        }
        self.confidence = self.table["confidence"]
        self.outcomes = outcomes_of(self.table, case["positive"])
        self.timing = timing_of(self.table, self.batches, case["best"])
        self.points = operating_points(self.outcomes, self.confidence, self.timing)
        classes = len(self.summary["label_names"])
        self.grid = threshold_grid("max_probability", classes) if classes else probability_grid(0)
        self.metrics = [name for name in self.found if name in self.outcomes.metrics]


@pytest.fixture(params=CASES)
def case(request):
    return Case(request.param)


def plain(found):
    """As it comes back from JSON."""
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items()}
    if isinstance(found, np.ndarray | list | tuple):
        return [plain(value) for value in (found.tolist() if isinstance(found, np.ndarray) else found)]
    return None if isinstance(found, float) and np.isnan(found) else found


def test_operating_points_are_the_same_to_the_last_digit(case):
    assert plain(case.points) == case.found["points"]
    assert list(case.points) == list(case.found["points"])


def test_the_summary_and_the_baselines_are_the_same_to_the_last_digit(case):
    for metric in case.metrics:
        found = case.found[metric]
        summary = summarise(case.points, case.outcomes, case.timing, metric, Target("keep", 0.97))
        assert plain(summary) == found["summary"]
        for kind in ("random", "oracle"):
            assert plain(asdict(getattr(case.outcomes, kind)(metric, case.timing))) == found[kind]
        assert plain(errors_by_confidence(case.outcomes, metric, case.confidence, 5)) == found["errors"]


def test_the_chosen_points_are_the_same_to_the_last_digit(case):
    for metric in case.metrics:
        found = case.found[metric]
        for asked, point in found["chosen"].items():
            kind, value = asked.split()
            try:
                own = choose(case.points, Target(kind, float(value)), metric).record()
            except ValueError as error:
                own = str(error)
            assert own == point
        at = [point_at(case.points, threshold, metric).record() for threshold in (0.0, 0.55, 0.7, 0.9, 1.0)]
        assert at == found["at"]


def test_what_is_certified_is_the_same(case):
    for metric in case.metrics:
        found = case.found[metric]
        for asked, guarantee in found["certified"].items():
            keep, *grouped = asked.split()
            groups = case.table["group"] if grouped else None
            calibration = CalibrationSet(case.confidence, case.grid, groups)
            own = case.outcomes.certify(metric, calibration, float(keep), 0.9, 0.7)
            for name in GUARANTEED:
                assert getattr(own, name) == guarantee[name], name
        calibration = CalibrationSet(case.confidence, case.grid)
        own = chosen_with_confidence(case.points, case.outcomes, calibration, metric, Target("keep", 0.6), 0.7)
        assert own == found["with_confidence"]


def test_intervals_are_the_same(case):
    """But for the rounding of sums in another order."""
    own = summary_intervals(case.summary, examples_of(case.summary, case.table, case.batches))
    assert own.keys() == case.found["intervals"].keys()
    for name, interval in own.items():
        np.testing.assert_allclose(interval, case.found["intervals"][name], rtol=1e-12, err_msg=name)

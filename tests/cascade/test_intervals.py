import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from random_cascades import cases
from synthetic_examples import classes, graded, several, spans

from tangodistill.cascade import intervals as module
from tangodistill.cascade.best_front import best_front
from tangodistill.cascade.examples import Examples
from tangodistill.cascade.gates import Gates
from tangodistill.cascade.intervals import MEASURED, drawn_rows, draws_for, point_intervals, summary_intervals
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.speedup import speedup_at


def summary_of(threshold, **more):
    return {"chosen": {"threshold": threshold, "predicted_s": 1.0, **more}, "best_on_report": None}


def runs(cascade_s, second_only_s):
    return {"best_batch": {"passes_s": {"cascade": cascade_s, "second_only": second_only_s}}}


def all_right(n):
    """Both tiers are always right, and the first one is sure."""
    examples, labels = classes(n), np.arange(n) % 2
    return replace(examples, outcomes=ClassOutcomes(labels, [labels, labels], 2), confidences=np.full(n, 0.9))


@given(cases())
@settings(max_examples=15, deadline=None)
def test_every_interval_holds_its_value_and_is_json(case):
    examples = Examples("accuracy", case.outcomes, case.confidence, case.timing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_DRAWS", 20)
        patch.setattr(module, "FEWEST_DRAWS", 20)
        found = summary_intervals(summary_of(0.7), examples)
    assert json.loads(json.dumps(found, allow_nan=False)).keys() == found.keys()
    whole = examples.outcomes
    deferred = case.confidence < np.float32(0.7)
    values = {
        "tier1/accuracy": whole.tier_score(1, "accuracy"),
        "tier2/accuracy": whole.tier_score(2, "accuracy"),
        "chosen/deferral_rate": deferred.mean(),
        "chosen/metric_value": whole.cascade(deferred).tier_score(1, "accuracy"),
        "chosen/speedup": case.tier2_s.sum() / (case.tier1_s.sum() + case.tier2_s[deferred].sum()),
    }
    for name, value in values.items():
        low, high = found[name]
        assert low - 1e-9 <= value <= high + 1e-9, name
    assert all(low <= high for low, high in found.values())


def test_two_texts_of_222_do_not_tell_99_percent_from_98():
    """95.9 against 95.0 on 222 rows is no 99.1 %."""
    labels = np.zeros(222, int)
    tier2 = np.where(np.arange(222) < 9, 1, labels)  # 95.9
    tier1 = np.where(np.arange(222) < 11, 1, labels)  # 95.0
    examples = replace(classes(222), outcomes=ClassOutcomes(labels, [tier1, tier2], 2), confidences=np.full(222, 0.9))
    low, high = point_intervals(examples, {"chosen": [0.5]})["chosen/share_kept"]
    assert 0.96 < low < 0.985 and 0.995 < high < 1.02


@pytest.mark.parametrize(("n", "least"), [(50, 0.87), (500, 0.985)])
def test_nothing_seen_to_go_wrong_is_no_certainty(n, least):
    found = point_intervals(all_right(n), {"chosen": [0.5]})
    for name in ("tier1/accuracy", "chosen/metric_value", "chosen/share_kept"):
        low, high = found[name]
        assert least < low < 1 and high >= 1, name
    assert found["chosen/deferral_rate"][0] == 0 < found["chosen/deferral_rate"][1] < 0.12


def test_an_accuracy_has_the_interval_of_agresti_and_coull():
    """Of 400 right at 90 %: the plus-four interval, which bootstrap draws come near."""
    labels, n = np.zeros(400, int), 404
    answers = np.where(np.arange(400) < 40, 1, labels)
    examples = replace(classes(400), outcomes=ClassOutcomes(labels, [answers, answers], 2))
    p = 362 / n
    half = 1.96 * np.sqrt(p * (1 - p) / n)
    low, high = point_intervals(examples, {})["tier2/accuracy"]
    assert (low, high) == (pytest.approx(p - half, abs=0.006), pytest.approx(p + half, abs=0.006))


@pytest.mark.parametrize("make", [classes, spans], ids=["labels", "spans"])
def test_intervals_narrow_with_examples_and_come_out_the_same_twice(make):
    few, many = (point_intervals(make(n), {"chosen": [0.8]}) for n in (100, 1600))
    assert many == point_intervals(make(1600), {"chosen": [0.8]})
    for name in ("tier1/f1", "chosen/share_kept", "chosen/deferral_rate", "chosen/speedup"):
        (low, high), (few_low, few_high) = many[name], few[name]
        assert high - low < 0.5 * (few_high - few_low)


def test_rows_that_hang_together_count_as_one():
    """Ten copies of each of 40 examples tell no more than the 40."""
    alone = classes(40)
    copies = replace(alone.drawn(np.repeat(np.arange(40), 10)), groups=np.repeat(np.arange(40), 10))
    for name, (low, high) in point_intervals(alone, {"chosen": [0.8]}).items():
        low_of_copies, high_of_copies = point_intervals(copies, {"chosen": [0.8]})[name]
        if "speedup" not in name:
            assert high_of_copies - low_of_copies > 0.6 * (high - low), name
    rows, _ = next(drawn_rows(copies, 8))
    times = np.bincount(rows, minlength=400).reshape(40, 10)
    assert (times == times[:, :1]).all()


def test_a_measured_speedup_varies_with_its_passes_too():
    examples = classes(400)
    steady = summary_of(0.8, runs=runs([1.0, 1.0, 1.0], [4.0, 4.0, 4.0]))
    shaky = summary_of(0.8, runs=runs([0.8, 1.0, 1.2], [4.0, 4.5, 3.5]))
    widths = []
    for summary in (steady, shaky):
        low, high = summary_intervals(summary, examples)[MEASURED["best_batch"]]
        assert low < 4.0 < high
        widths.append(high - low)
    assert widths[0] < widths[1]


def test_memory_holds_one_draw_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "MOST_DRAWS", 4)
    monkeypatch.setattr(module, "FEWEST_DRAWS", 4)
    examples = classes(50_000)
    tracemalloc.start()
    point_intervals(examples, {"chosen": [0.8]})
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20  # all of 200 draws at once: 80 MB an array
    tracemalloc.stop()


def test_draws_are_fewer_over_many_rows_and_told_one_by_one():
    assert draws_for(10**6) == 200
    told = []
    summary_intervals(summary_of(0.8), classes(30), lambda: told.append(1))
    assert len(told) == draws_for(30)


def test_a_share_of_nothing_has_no_interval():
    examples = graded(classes(30), np.stack([np.ones(30), np.zeros(30)]))
    assert "chosen/share_kept" not in point_intervals(examples, {"chosen": [0.8]})


def test_three_tiers_have_intervals_of_each_and_of_the_whole():
    examples = Examples("accuracy", *several(150))
    front = examples.both_curves(1)["cascade"]
    thresholds = tuple(map(float, examples.points[len(examples.points) // 2]))
    summary = {"chosen": {"thresholds": thresholds, "predicted_s": 1.0}, "best_on_report": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_DRAWS", 20)
        patch.setattr(module, "FEWEST_DRAWS", 20)
        found = summary_intervals(summary, examples)
    assert all(low <= high for low, high in found.values())
    for name in ("tier2/share_kept", "tier2/speedup", "tier3/f1", "chosen/speedup_best_batch", "speedup_at_98/batch1"):
        assert name in found
    stops = Gates(examples.confidences).stops(thresholds)
    values = {
        "chosen/metric_value": examples.outcomes.cascade(stops).tier_score(1, "accuracy"),
        "chosen/deferral_rate": (stops == 2).mean(),
        "chosen/speedup": front[0][len(examples.points) // 2],
    }
    for name, value in values.items():
        low, high = found[name]
        assert low <= value <= high, name


def test_a_long_curve_is_drawn_at_some_of_its_points():
    examples = Examples("accuracy", *several(3000))
    whole = best_front(examples.outcomes, examples.confidences, examples.timing, "accuracy")
    assert len(whole) > len(examples.points) > 100
    speedup, _, values = examples.both_curves(1)["cascade"]
    last = examples.outcomes.tier_score(3, "accuracy")
    at = speedup_at(0.99, speedup, values, last).attained
    every = (examples.timing.reference.example_s.sum() / whole.time_s)[whole.metrics["accuracy"] >= 0.99 * last].max()
    assert 0.97 * every < at <= every

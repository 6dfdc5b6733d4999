import json

import numpy as np
import pytest
from synthetic_examples import several

from tangodistill.cascade.best_front import best_front, subsets
from tangodistill.cascade.choose import Target
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.paying_tiers import choose_tiers, subset_speedups
from tangodistill.cascade.threshold_grid import threshold_grid

GRID = threshold_grid("max_probability", 2)
NAMES = ("small", "middle", "large")
KEEP = Target("keep", 0.99)


def with_a_useless_tier(n=1500):
    """The middle one answers as the first does."""
    outcomes, confidences, timing = several(n)
    return ClassOutcomes(outcomes.labels, outcomes.answers[[0, 0, 2]], 2), confidences[[0, 0]], timing


def test_the_best_of_every_choice_of_tiers_is_its_fastest_point_that_keeps_the_share():
    outcomes, confidences, timing = several(800)
    found = subset_speedups(outcomes, confidences, timing, "accuracy")
    assert [tuple(each["tiers"]) for each in found] == subsets(3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    last, alone = outcomes.tier_score(3, "accuracy"), timing.reference
    for each in found:
        gates = [tier - 1 for tier in each["tiers"][:-1]]
        part = outcomes.subset(each["tiers"]), confidences[gates], timing.subset(each["tiers"])
        front = best_front(*part, "accuracy")
        for name, share in (("speedup_at_99", 0.99), ("speedup_at_98", 0.98)):
            meets = front.metrics["accuracy"] >= share * last
            in_batches_s = front.time_best_batch_s[meets].min()
            assert each[name]["batch1"] == pytest.approx(alone.example_s.sum() / front.time_s[meets].min())
            assert each[name]["best_batch"] == pytest.approx(alone.best_batch_s / in_batches_s)


def test_a_share_that_no_cascade_of_them_keeps_has_a_reason():
    outcomes, confidences, timing = several(300)
    answers = np.stack([*outcomes.answers[:2], outcomes.labels])
    wrong = ClassOutcomes(outcomes.labels, [1 - outcomes.labels, *answers[1:]], 2)
    sure = np.where(np.arange(300) < 150, np.float32(0.9), confidences)
    found = {tuple(each["tiers"]): each for each in subset_speedups(wrong, sure, timing, "accuracy")}
    assert all(each["speedup_at_99"]["reason"] is None for each in found.values())  # all may be passed on
    assert found[1, 3]["speedup_at_99"]["batch1"] < 1


def test_a_tier_that_does_not_pay_is_left_out_and_that_is_told():
    choice = choose_tiers(*with_a_useless_tier(), GRID, "accuracy", KEEP)
    assert choice.tiers == (1, 3)
    own, whole = choice.points[1, 3], choice.points[1, 2, 3]
    assert choice.told(NAMES) == (
        f"middle does not pay: without it the cascade is {own.speedup:.2f}x as fast as large alone one at a time and "
        f"{own.speedup_best_batch:.2f}x in batches, with it {whole.speedup:.2f}x and {whole.speedup_best_batch:.2f}x."
    )
    assert own.speedup > whole.speedup and own.speedup_best_batch > whole.speedup_best_batch


def test_where_all_tiers_pay_nothing_is_told():
    choice = choose_tiers(*several(3000), GRID, "accuracy", KEEP)
    assert choice.tiers == (1, 2, 3) and choice.told(NAMES) is None
    costs = {tiers: point.per_example_ms * point.predicted_s for tiers, point in choice.points.items()}
    assert min(costs, key=costs.get) == (1, 2, 3) and set(costs) == set(subsets(3))


def test_two_tiers_leave_no_choice():
    outcomes, confidences, timing = several(500, tiers=2)
    choice = choose_tiers(outcomes, confidences, timing, GRID, "accuracy", KEEP)
    assert choice.tiers == (1, 2) and choice.told(("small", "large")) is None


@pytest.mark.parametrize("target", [Target("max_ms", 25.0), Target("defer", 0.1)])
def test_within_a_budget_the_best_metric_is_taken(target):
    choice = choose_tiers(*several(1500), GRID, "accuracy", target)
    best = max(point.metric_value for point in choice.points.values())
    assert choice.points[choice.tiers].metric_value == best


def test_a_budget_that_only_some_choices_meet_leaves_the_others_out():
    choice = choose_tiers(*several(500), GRID, "accuracy", Target("max_ms", 2.0))
    assert (2, 3) not in choice.points and 1 in choice.tiers
    assert "with it no step meets the target" in choice.told(NAMES) if (1, 2, 3) not in choice.points else True


def test_out_of_reach_says_what_all_tiers_reach():
    with pytest.raises(ValueError, match="no threshold stays within 0.1 ms per example; the best reachable is"):
        choose_tiers(*several(100), GRID, "accuracy", Target("max_ms", 0.1))

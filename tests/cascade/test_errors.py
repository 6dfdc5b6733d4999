import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cascades import cases

from tangodistill.cascade.errors import errors_by_confidence
from tangodistill.cascade.outcomes import ClassOutcomes


@given(cases(), st.integers(1, 12))
def test_accuracy_at_each_edge_is_tier_1_plus_mended_minus_spoilt(case, bins):
    table = errors_by_confidence(case.outcomes, "accuracy", case.confidence, bins)
    assert len(table["threshold"]) == bins and table["count"].sum() == len(case.labels)
    for k in range(bins):
        defer = case.confidence < table["threshold"][k]
        accuracy = np.mean(np.where(defer, case.tier2, case.tier1) == case.labels)
        change = np.sum((table["false_to_true"] - table["true_to_false"])[: k + 1])
        assert accuracy == pytest.approx(np.mean(case.tier1 == case.labels) + change)
        assert table["count"][: k + 1].sum() == defer.sum()


@given(st.integers(1, 40), st.integers(1, 12))
def test_bins_are_of_equal_count_without_ties(n, bins):
    same = np.zeros(n, int)
    outcomes = ClassOutcomes(same, [same, same], 2)
    count = errors_by_confidence(outcomes, "accuracy", np.linspace(0.5, 1, n), bins)["count"]
    assert count.max() - count.min() <= 1


def test_real_tiers_differ_most_where_tier_1_is_unsure(real_case):
    table = errors_by_confidence(real_case.outcomes, "accuracy", real_case.confidence)
    changed = table["false_to_true"] + table["true_to_false"]
    assert changed[0] == changed.max() and changed[-1] < changed[0] / 5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tangodistill.cascade.confidence import SCORES, confidence, softmax

logits = arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(2, 5)), elements=st.floats(-50, 50, width=32))


@given(logits)
def test_scores_lie_between_0_and_1_and_follow_their_definitions(logits):
    p = softmax(logits)
    ranked = np.sort(p, axis=1)
    expected = {
        "max_probability": ranked[:, -1],
        "margin": ranked[:, -1] - ranked[:, -2],
        "entropy": 1 + np.sum([q * np.log(q) for q in np.maximum(p.T, 1e-300)], axis=0) / np.log(p.shape[1]),
    }
    for score in SCORES:
        values = confidence(logits, score)
        assert values.dtype == np.float32 and values.min() >= 0 and values.max() <= 1
        np.testing.assert_allclose(values, expected[score], atol=1e-6)


@given(
    arrays(np.float32, st.tuples(st.integers(2, 20), st.just(2)), elements=st.floats(-8, 8, width=32)),
    st.floats(0.25, 4.0),
    st.sampled_from(SCORES),
)
def test_neither_temperature_nor_score_changes_the_order_of_two_classes(logits, temperature, score):
    plain, other = confidence(logits), confidence(logits / np.float64(temperature), score)
    order = np.argsort(plain, kind="stable")
    # rounding to float32 may tie what was apart, never swap it
    tied = np.diff(plain[order]) == 0
    assert np.all((np.diff(other[order]) >= 0) | tied)


def test_an_overwhelming_margin_is_certain_in_float32():
    assert confidence([[20.0, 0.0], [1000.0, -1000.0]]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("logits", "score", "message"),
    [
        ([[0.0, 1.0]], "max", "unknown confidence score 'max'; known: max_probability, margin, entropy"),
        ([[0.0], [1.0]], "margin", r"two or more classes\), got \(2, 1\)"),
        ([[0.0, 1.0], [np.nan, 1.0]], "margin", "logits of row 1 are not finite"),
    ],
)
def test_unusable_logits_are_refused(logits, score, message):
    with pytest.raises(ValueError, match=message):
        confidence(logits, score)

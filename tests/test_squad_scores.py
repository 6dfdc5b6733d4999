"""SQuAD's exact match and F1: each rule of the official script, and torchmetrics beside it."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.text import SQuAD

from tangodistill import squad_scores as module
from tangodistill.metrics import squad, squad_scores

RULES = {
    "case": ("NILE", ["nile"], 1, 1),
    "punctuation": ("U.S.", ["US"], 1, 1),
    "punctuation joins what it parted": ("rock-n-roll", ["rocknroll"], 1, 1),
    "punctuation of ASCII alone": ("“Nile”", ["Nile"], 0, 0),
    "articles": ("an apple, the pear", ["apple a pear"], 1, 1),
    "articles as whole words": ("other", ["her"], 0, 0),
    "articles after punctuation": ("the-cat", ["cat"], 0, 0),  # thecat
    "articles after case": ("The Nile", ["Nile"], 1, 1),
    "white space": (" the  Nile\t \n", ["a Nile"], 1, 1),
    "a bag of words has no order": ("river Nile", ["Nile river"], 0, 1),
    "a bag of words counts": ("very very big", ["very big"], 0, 0.8),
    "part of an answer": ("big", ["a very big dog"], 0, 0.5),
    "several golds": ("Nile", ["Amazon", "Nile", "Nile river"], 1, 1),
    "several golds, the best of each metric": ("Nile delta", ["Amazon", "Nile"], 0, 2 / 3),
    "empty answer": ("", ["Nile"], 0, 0),
    "answer of punctuation": ("...", ["Nile"], 0, 0),
    "empty on both sides": ("the", ["a"], 1, 0),  # equal, but without a common word
}
"""Answer, golds, exact match and F1."""


@pytest.mark.parametrize(("answer", "golds", "em", "f1"), RULES.values(), ids=RULES)
def test_rules_of_the_official_script(answer, golds, em, f1):
    assert squad_scores(answer, golds) == (em, pytest.approx(f1))


def test_means_are_over_the_gold_questions():
    gold = {"q1": ["Nile"], "q2": ["1912"], "q3": ["red", "blue"]}
    assert squad({"q1": "the Nile", "q3": "dark blue", "stray": "x"}, gold) == {
        "em": pytest.approx(1 / 3), "f1": pytest.approx((1 + 2 / 3) / 3),
    }  # fmt: skip
    assert squad({}, gold) == {"em": 0.0, "f1": 0.0}


def test_nothing_to_score_is_refused():
    with pytest.raises(ValueError, match="no questions"):
        squad({}, {})
    with pytest.raises(ValueError, match="question 'q2' has no right answer"):
        squad({"q1": "a"}, {"q1": ["a"], "q2": []})


# "x" keeps an answer from being empty, where torchmetrics may follow the script of SQuAD 2
texts = st.lists(st.sampled_from(["a", "The", "an", "nile", "Nile,", "x-y", "é", "'", "42%"]), max_size=6).map(
    lambda words: " ".join([*words, "x"])
)


@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=8))
def test_scores_equal_torchmetrics(rows):
    predictions = {str(i): answer for i, (answer, _) in enumerate(rows)}
    gold = {str(i): golds for i, (_, golds) in enumerate(rows)}
    metric = SQuAD()
    metric.update(
        [{"id": key, "prediction_text": text} for key, text in predictions.items()],
        [{"id": key, "answers": {"text": golds, "answer_start": [0] * len(golds)}} for key, golds in gold.items()],
    )
    theirs, ours = metric.compute(), squad(predictions, gold)
    assert 100 * ours["em"] == pytest.approx(float(theirs["exact_match"]), abs=1e-3)
    assert 100 * ours["f1"] == pytest.approx(float(theirs["f1"]), abs=1e-3)


def test_doctests():
    assert doctest.testmod(module).failed == 0

"""The leak guard sees through case, spacing and punctuation, and compares whole pairs."""

import pytest

from tangodistill.data.leaks import LeakGuard, normalise


@pytest.mark.parametrize(
    "left, right",
    [
        ("It 's great , really !", "It's GREAT, really"),
        ("`` quoted ''", '"Quoted"'),
        ("ﬁne\u00a0film", "fine film"),
        ("Straße", "STRASSE"),
        ("a\0b", "ab"),
    ],
)
def test_equal_after_normalising(left, right):
    assert normalise(left) == normalise(right)


@pytest.mark.parametrize("left, right", [("good", "bad"), (":)", ":("), ("so 😀", "so 😡"), ("", "!"), ("कि", "का")])
def test_different_after_normalising(left, right):
    assert normalise(left) != normalise(right)


def test_texts_one_and_many():
    guard = LeakGuard(["A fine film.", ""])
    assert guard.leaks("a fine  film") is True
    assert guard.leaks("a film") is False
    assert guard.leaks(["A FINE FILM", "x", ""]).tolist() == [True, False, True]
    assert guard.leaks([]).tolist() == []


def test_pairs_are_compared_whole():
    guard = LeakGuard(["q one", "q two"], ["a one", "a two"])
    assert guard.leaks("Q one?", "A one.") is True
    assert guard.leaks(["q one", "q two", "a one"], ["a two", "a two", "q one"]).tolist() == [False, True, False]

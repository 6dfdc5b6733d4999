"""Groups against brute force."""

import doctest
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangodistill.data import grouping
from tangodistill.data.grouping import pair_groups, text_groups

SST2 = Path(__file__).parents[2].parent / "shared/data/glue/SST-2/train.tsv"


def brute_force(texts: list[str]) -> list[int]:
    """Merge group numbers, pair by pair, until nothing changes."""
    words = [text.casefold().split() for text in texts]
    group = list(range(len(texts)))
    for i, inner in enumerate(words):
        for j, outer in enumerate(words):
            inside = any(outer[k : k + len(inner)] == inner for k in range(len(outer) - len(inner) + 1))
            if inner == outer or (len(inner) >= 4 and inside):
                old, new = max(group[i], group[j]), min(group[i], group[j])
                group = [new if g == old else g for g in group]
    return group


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from("aab"), max_size=9).map(" ".join), min_size=1, max_size=12))
def test_containment_equals_brute_force(texts):
    assert text_groups(texts).tolist() == brute_force(texts)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcd"), size=rng.integers(3, 12))) for _ in range(60)]
    expected = brute_force(texts)
    monkeypatch.setattr(grouping, "_BLOCK", 7)
    assert text_groups(texts).tolist() == expected


TEMPLATE = "your order of {} for {} was sent to {} on"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 10), st.lists(st.sampled_from(["a", "b", "on"]), min_size=3)),
        min_size=2,
        max_size=10,
    )
)
def test_pieces_of_one_template_equal_brute_force(pieces):
    """Cut anywhere, so that beginnings, middles and ends are shared, and one text lies inside many."""
    texts = [" ".join(TEMPLATE.format(*slots).split()[begin : begin + size]) for begin, size, slots in pieces]
    assert text_groups(texts).tolist() == brute_force(texts)


def test_one_text_inside_all_and_a_text_of_one_word_over_and_over():
    texts = ["we thank you for", *(f"{i} we thank you for it {i}" for i in range(50)), "na " * 40, "na " * 5]
    assert text_groups(texts).tolist() == [0] * 51 + [51, 51]


def seconds(texts: list[str]) -> float:
    started = time.process_time()
    text_groups(texts)
    return time.process_time() - started


def test_texts_without_a_rare_window_take_time_in_proportion_to_their_number():
    """Every four words recur in a large share of the texts: to compare those that share them is quadratic."""
    rng = np.random.default_rng(0)
    texts = [" ".join(row) for row in rng.choice([f"w{i}" for i in range(6)], (60_000, 11))]
    text_groups(texts[:100])
    assert seconds(texts) < 48 * min(seconds(texts[:5_000]) for _ in range(3))  # 12 times as many; 144 were quadratic


def test_short_texts_are_tied_only_by_equality():
    texts = ["good film", "a good film it is", "Good film!", "", " ", "such a good film it is"]
    assert text_groups(texts).tolist() == [0, 1, 0, 3, 3, 1]


def test_pairs_share_a_text_on_either_side_but_not_an_empty_one():
    texts = ["q1", "q2", "a1", "", "x", "", ""]
    pairs = ["a1", "a2", "q2", "y", "", "", ""]
    assert pair_groups(texts, pairs).tolist() == [0, 0, 0, 3, 4, 5, 5]


def test_a_hundred_thousand_links_in_a_chain():
    texts = [f"t{i}" for i in range(100_000)]
    assert (pair_groups(texts, texts[1:] + ["end"]) == 0).all()


@pytest.mark.skipif(not SST2.is_file(), reason=f"real data not at {SST2}")
def test_sst2_phrases():
    texts = [line.split("\t")[0] for line in SST2.read_text(encoding="utf-8").split("\n")[1:] if line]
    groups = text_groups(texts)
    first = {" ".join(text.split()): group for text, group in zip(texts, groups, strict=True)}
    for text, group in first.items():  # every window of four words or more that is itself a text
        words = text.split()
        for begin in range(len(words) - 3):
            for end in range(begin + 4, len(words) + 1):
                assert first.get(" ".join(words[begin:end]), group) == group
    assert np.bincount(groups).max() < 2_000


def test_doctests():
    assert doctest.testmod(grouping).failed == 0

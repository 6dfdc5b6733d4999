"""Groups against brute force."""

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

"""Words keep the form of their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangodistill.augment.words import split_words


def rejoin(text: str) -> str:
    words, glued = split_words(text)
    return "".join(word if near else f" {word}" for word, near in zip(words, glued, strict=True)).removeprefix(" ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "it 's n't -lrb- bad -rrb- ... `` film ''",
            ["it", "'s", "n't", "-lrb-", "bad", "-rrb-", "...", "``", "film", "''"],
        ),
        ("It's (really) good!!", ["It", "'s", "(", "really", ")", "good", "!!"]),
        ("She said: “can’t, won't.”", ["She", "said", ":", "“", "ca", "n’t", ",", "wo", "n't", ".", "”"]),
        ("state-of-the-art, 3.5 and/or :-) 👍", ["state-of-the-art", ",", "3.5", "and/or", ":-)", "👍"]),
        ("", []),
        (" \t\n", []),
    ],
)
def test_splits_punctuation_and_clitics_from_words(text, words):
    assert split_words(text)[0] == words


@given(st.text())
def test_words_and_spacing_rebuild_the_text_up_to_white_space(text):
    assert rejoin(text) == " ".join(text.split())

"""A long text cut before it is tokenised, where what is cut off can't matter.

Where a tokenizer takes each word by itself, what stands behind a blank changes no token before it. A text cut at a
blank then has the tokens of the whole one as far as it goes, and one that fills the model has all that would be kept.
Other tokenizers (those that merge over blanks, or split by a pattern of their own) get the whole text.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from tokenizers import Tokenizer

from tangodistill.data.word_patterns import SPELLINGS, WORD

_IDEOGRAPH = "[\u3400-\u4dbf\u4e00-\u9fff]"
_DROPS_BLANKS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_CHARACTER_BY_CHARACTER = {
    *("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "StripAccents"),
}
"""Normalizers whose result on either side of a blank behind a letter doesn't depend on the other side."""


class Shortener:
    """Proposes the part of a text that holds its first `words` words, or its last ones.

    Args:
        backend: the tokenizer.
        words: after as many no more can matter, where each gives a token: whoever cuts must count the tokens.
        side: that is cut off, "right" or "left".
    """

    def __init__(self, backend: Tokenizer, words: int, side: str = "right"):
        self.words, self.side = words, side
        self._boundary = _boundary(backend, side)

    def cut(self, text: str) -> str:
        """The text itself where its tokens depend on the whole, or cutting would not save half."""
        if len(text) < 4 * self.words or self._boundary is None:  # a word and its blank are two characters at least
            return text
        found = self._boundary.finditer(text if self.side == "right" else text[::-1])
        place = next(islice(found, self.words, None), None)
        if place is None or 2 * place.end() > len(text):
            return text
        return text[: place.start()] if self.side == "right" else text[-place.end() :]


def _boundary(backend: Tokenizer, side: str) -> re.Pattern | None:
    """Where a text may be cut, in a reversed one for the left: before a blank behind a letter or digit.

    BERT's normalizer and the student's words make each Chinese character a word of its own, so that a text may be cut
    between two of them.
    """
    steps = list(_parts(backend.pre_tokenizer, "pretokenizers"))
    while steps and steps[0]["type"] in ("Digits", "Punctuation"):  # these look at single characters
        steps.pop(0)
    normalizers = list(_parts(backend.normalizer, "normalizers"))
    if not (steps and _splits_at_blanks(steps[0]) and all(_is_local(part, side) for part in normalizers)):
        return None
    added = list(backend.get_added_tokens_decoder().values())
    if any(token.rstrip or re.search(r"\s", token.content.lstrip()) for token in added):  # may reach over the cut
        return None
    places = r"(?<=[^\W_]) " if side == "right" else r" (?=[^\W_])"
    apart = any(part["type"] == "BertNormalizer" and part["handle_chinese_chars"] for part in normalizers)
    apart = steps[0]["type"] in _DROPS_BLANKS if apart else _is_the_students(steps[0])
    if apart and not any(re.search(_IDEOGRAPH, token.content) for token in added):
        places += f"|(?<={_IDEOGRAPH})(?={_IDEOGRAPH})"
    return re.compile(places)


def _parts(component: Any, name: str) -> Iterator[dict[str, Any]]:
    """The settings of a component's steps, in their order."""

    def flat(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if state["type"] != "Sequence":
            yield state
        for part in state.get(name, ()):
            yield from flat(part)

    if component is not None:
        yield from flat(json.loads(component.__getstate__()))


def _splits_at_blanks(step: dict[str, Any]) -> bool:
    """Whether a pre-tokenizer ends a word before each blank, and begins the next with it or behind it."""
    return (
        step["type"] in _DROPS_BLANKS
        or (step["type"] == "ByteLevel" and step["use_regex"])
        or (step["type"] == "Metaspace" and step["split"])
        or _is_the_students(step)
    )


def _is_the_students(step: dict[str, Any]) -> bool:
    return step["type"] == "Split" and (step["pattern"], step["invert"]) == ({"Regex": WORD}, True)


def _is_local(step: dict[str, Any], side: str) -> bool:
    """Whether a normalizer makes the same of a part, cut at a blank, as of that part in the whole text."""
    if step["type"] in ("Strip", "Prepend"):  # at a text's begin
        return side == "right"
    if step["type"] == "Replace":
        pattern = step["pattern"]
        return pattern.get("Regex") in (" {2,}", *SPELLINGS) or not re.search(r"\s", pattern.get("String", " "))
    return step["type"] in _CHARACTER_BY_CHARACTER

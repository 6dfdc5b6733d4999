"""What looks like a special token in a text is text: `</s>` in a web page ends nothing, `[SEP]` separates nothing."""

import json
from collections.abc import Collection

import numpy as np
from tokenizers import Encoding, Tokenizer


class SpecialTokens:
    """A tokenizer's special tokens, kept to the places where it sets them itself.

    Args:
        backend: Rust tokenizer, which from now on splits a special token that a text spells out as it splits any word.
    """

    def __init__(self, backend: Tokenizer):
        definition = json.loads(backend.to_str())
        unknown = _unknown_id(definition["model"])
        self._unknown = unknown
        ids = [each["id"] for each in definition["added_tokens"] if each["special"] and each["id"] != unknown]
        self._is_special = np.zeros(max([*ids, backend.get_vocab_size()]) + 2, bool)  # the last for ids beyond
        self._is_special[ids] = True
        backend.encode_special_tokens = True
        self._own = tuple(int(self.among(backend.encode(*sides).ids).sum()) for sides in ([""], ["", ""]))

    def among(self, ids: list[int] | np.ndarray) -> np.ndarray:
        """Which ids are those of special tokens, the unknown word's apart; bool of their shape."""
        return self._is_special.take(ids, mode="clip")

    def spelt_out(self, count: int | np.ndarray, pairs: bool) -> bool | np.ndarray:
        """Whether so many special tokens are more than the tokenizer sets around a text, or a pair.

        A vocabulary of whole words, or of pieces by their likelihood, gives a word `</s>` the special token's id.
        """
        return count > self._own[pairs]

    def to_unknown(self, ids: np.ndarray) -> None:
        """Puts the unknown word in place of special tokens among the ids of texts, in place."""
        if self._unknown is not None:
            ids[self.among(ids)] = self._unknown

    def as_text(self, encoding: Encoding) -> np.ndarray:
        """An encoding's ids with the unknown word's in place of special tokens that the text spells out."""
        ids, set_around = np.array(encoding.ids), np.array(encoding.special_tokens_mask, bool)
        text = ids[~set_around]
        self.to_unknown(text)
        ids[~set_around] = text
        return ids


def with_meant(definition: str, tokens: Collection[str]) -> str:
    """A tokenizer.json in which these special tokens are meant where a text spells them out: masks in a transfer set.

    To the Rust tokenizer they are then no special tokens, but words that are never split.
    """
    content = json.loads(definition)
    for token in content["added_tokens"]:
        if token["content"] in tokens:
            token["special"] = False
    return json.dumps(content)


def _unknown_id(model: dict) -> int | None:
    if "unk_id" in model:
        return model["unk_id"]
    return model["vocab"].get(model.get("unk_token"))

"""Scripts that are written without blanks between words; a text in one is read character by character."""

from functools import lru_cache

UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\ua000-\ua48f"  # Yi
)
"""Inside a character class of a regular expression."""
CHARACTER = rf"(?=\w)[{UNSPACED}]\p{{M}}*"
"""One letter of theirs with its marks, as the Rust tokenizer's expressions have it."""


def split_unspaced(word: str) -> list[str]:
    """The characters of unspaced scripts apart, and the runs of others between them.

    >>> split_unspaced("今天iPhone15很好"), split_unspaced("ก็ดี"), split_unspaced("plain")
    (['今', '天', 'iPhone15', '很', '好'], ['ก็', 'ดี'], ['plain'])
    """
    return [piece for piece, _ in _splitter().pre_tokenize_str(word)]


@lru_cache(maxsize=1)
def _splitter():
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(CHARACTER), "isolated")

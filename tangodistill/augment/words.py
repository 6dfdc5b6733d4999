"""Words of a text, and how they were spaced, so that a changed text keeps the form of its source."""

import re
from functools import lru_cache

from tangodistill.data.scripts import UNSPACED, split_unspaced

_CLITIC = re.compile(r"n['’]t|['’](?:s|re|ve|ll|d|m)", re.IGNORECASE)
_ENDS_IN_CLITIC = re.compile(rf"(.+?)({_CLITIC.pattern})", re.IGNORECASE | re.DOTALL)
_EDGES = re.compile(r"([\"'“‘«(\[{<]*)(.*?)([\"'”’»)\]}>.,!?;:…]*)", re.DOTALL)
_RUN = re.compile(r"(.)\1*", re.DOTALL)
_UNSPACED = re.compile(f"[{UNSPACED}]")


def split_words(text: str) -> tuple[list[str], list[bool]]:
    """The words of a text, and for each whether it stands right behind the one before it, without a space.

    Words end at white space. Punctuation at a word's edges and English clitics ("n't", "'s", ...) count as words of
    their own. Text that comes tokenised (GLUE's SST-2) is thus taken as it is, and in raw text ``good,`` is two words,
    the second of them glued to the first. In scripts without spaces between words each character is one, as for the
    student.

    >>> split_words('Not "bad", it does n\\'t')
    (['Not', '"', 'bad', '"', ',', 'it', 'does', "n't"], [False, False, True, True, True, False, False, False])
    >>> split_words("今天 很冷。")
    (['今', '天', '很', '冷', '。'], [False, True, False, True, True])
    """
    words: list[str] = []
    glued: list[bool] = []
    for token in text.split():
        pieces = _split_token(token)
        words.extend(pieces)
        glued.append(False)
        glued.extend([True] * (len(pieces) - 1))
    return words, glued


@lru_cache(maxsize=100_000)
def _split_token(token: str) -> tuple[str, ...]:
    """Edge punctuation, core and clitic of one token that holds no white space."""
    if not any(map(str.isalnum, token)) or _CLITIC.fullmatch(token):
        return (token,)
    opening, core, closing = _EDGES.fullmatch(token).groups()
    clitic = _ENDS_IN_CLITIC.fullmatch(core)
    middle = clitic.groups() if clitic else (core,)
    if _UNSPACED.search(core):
        middle = split_unspaced(core)
    return (*_runs(opening), *middle, *_runs(closing))


def _runs(punctuation: str) -> list[str]:
    """``!!")`` becomes ``!!``, ``"``, ``)``."""
    return [match.group() for match in _RUN.finditer(punctuation)]

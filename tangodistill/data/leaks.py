"""Keep texts that are evaluated on out of everything that is learnt from."""

import functools
import sys
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np


@functools.cache
def _ignored() -> dict[int, None]:
    """Characters that no comparison sees: white space, control, punctuation, quotes written as accents."""
    categories = {"Zs", "Zl", "Zp", "Cc", "Cf", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sk"}
    return {code: None for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in categories}


def normalise(text: str) -> str:
    """What is left of a text once case, spacing, punctuation and compatibility forms are put aside.

    A text of nothing but punctuation keeps it.

    >>> normalise("It 's  GREAT !"), normalise(":-)")
    ('itsgreat', ':-)')
    """
    folded = text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return folded.translate(_ignored()) or "".join(folded.split())


class LeakGuard:
    """Knows the texts (or whole pairs) of the selection, calibration and report roles."""

    def __init__(self, texts: Iterable[str], pairs: Iterable[str] | None = None):
        """Args: texts, and for pairs the second text of each, that nothing may be trained on."""
        self._known = set(_keys(texts, pairs))

    def leaks(self, text: str | Sequence[str], text_pair: str | Sequence[str] | None = None) -> bool | np.ndarray:
        """Whether a text, or pair, equals a guarded one after normalising.

        Args:
            text, text_pair: one text each, or n.

        Returns:
            One bool, or (n,) bool.

        >>> LeakGuard(["A fine film."]).leaks(["a fine film", "a film"]).tolist()
        [True, False]
        """
        if isinstance(text, str):
            return bool(self.leaks([text], None if text_pair is None else [text_pair])[0])
        return np.fromiter((key in self._known for key in _keys(text, text_pair)), dtype=bool, count=len(text))


def _keys(texts: Iterable[str], pairs: Iterable[str] | None) -> Iterable[str | tuple[str, str]]:
    if pairs is None:
        return map(normalise, texts)
    return zip(map(normalise, texts), map(normalise, pairs), strict=True)

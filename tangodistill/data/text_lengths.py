"""How long texts are for a tokenizer: the length that holds nearly all of them, and what a length cuts off."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

COVERED = 0.99  # of the texts
LEAST, LONGEST = 128, 1024  # tokens: room for short texts costs nothing, and the longest few would cost too much
LOOKED_AT = 10_000  # texts
CHUNK = 256  # whole texts tokenised at a time: they may be long
STEP = 8


def whole_lengths(backend: Tokenizer, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
    """(n,) tokens of texts or pairs that nothing is cut off from, special tokens included.

    Args: `backend` any Rust tokenizer, which stays as it is.
    """
    whole = Tokenizer.from_str(backend.to_str())
    whole.no_truncation()
    whole.no_padding()
    lengths = [np.zeros(0, np.int64)]
    for start in range(0, len(texts), CHUNK):
        rows = texts[start : start + CHUNK]
        given = list(rows) if pairs is None else list(zip(rows, pairs[start : start + CHUNK], strict=True))
        lengths.append(np.array([len(encoding) for encoding in whole.encode_batch_fast(given)], np.int64))
    return np.concatenate(lengths)


def covering_length(backend: Tokenizer, texts: Sequence[str], pairs: Sequence[str] | None = None) -> int:
    """Tokens that hold 99 % of the texts whole, as a multiple of 8, within LEAST and LONGEST."""
    rows = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), LOOKED_AT)).astype(int))
    few = [texts[row] for row in rows], None if pairs is None else [pairs[row] for row in rows]
    return covering(whole_lengths(backend, *few))


def covering(lengths: np.ndarray) -> int:
    """
    >>> covering(np.arange(1, 1001)), covering(np.array([4000, 9000])), covering(np.array([3]))
    (992, 1024, 128)
    """
    held = int(np.quantile(lengths, COVERED, method="higher"))
    return min(max(-(-held // STEP) * STEP, LEAST), LONGEST)


def what_is_cut(lengths: np.ndarray, max_length: int) -> dict[str, float]:
    """Of texts with so many tokens (n,), the share that a maximum length cuts, and the share of all tokens lost.

    >>> what_is_cut(np.array([10, 10, 10, 50]), max_length=20)
    {'max_length': 20, 'texts': 0.25, 'tokens': 0.375}
    """
    lost = np.maximum(lengths - max_length, 0)
    return {"max_length": max_length, "texts": float((lost > 0).mean()), "tokens": float(lost.sum() / lengths.sum())}

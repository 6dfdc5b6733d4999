"""Which rows must stay on one side of a cut: texts that hold one another, pairs that share a text, an article."""

from collections.abc import Iterable, Sequence

import numpy as np

from tangodistill.data.leaks import normalise

SHORTEST = 4
"""Words from which on one text inside another ties both together."""

FEWEST_ARTICLES = 10
"""From here on an article is no larger than a slice, on average; of fewer, a cut by articles may find nothing."""

_BLOCK = 1 << 22  # candidate places compared at once: bounds the memory of texts that repeat one another a lot


def text_groups(texts: Sequence[str]) -> np.ndarray:
    """Group equal texts, and texts of four words or more of which one contains the other word for word.

    Words are what white space separates, in lower case. Groups are closed: two texts inside a third are together.

    Args:
        texts: n texts.

    Returns:
        (n,) int64, equal numbers for one group.

    >>> text_groups(["a very good film indeed", "A very good film", "good film", "a bad film"]).tolist()
    [0, 0, 2, 3]
    """
    first_row: dict[str, int] = {}
    equal = [first_row.setdefault(normalise(text), row) for row, text in enumerate(texts)]
    # texts that differ in punctuation only are equal above, but different as words
    words = [text.casefold().split() for text in texts]
    first_words: dict[str, int] = {}
    same = [first_words.setdefault(" ".join(w), row) for row, w in enumerate(words)]
    long = [row for row in first_words.values() if len(words[row]) >= SHORTEST]
    inner, outer = _contained([words[row] for row in long])
    rows = np.array(long, dtype=np.int64)
    everyone = np.arange(len(texts))
    return _components(
        len(texts),
        np.concatenate([everyone, everyone, rows[inner]]),
        np.concatenate([np.array(equal, dtype=np.int64), np.array(same, dtype=np.int64), rows[outer]]),
    )


def pair_groups(texts: Sequence[str], pairs: Sequence[str]) -> np.ndarray:
    """Group the rows that share a text, on whichever side; an empty text ties only rows that are empty throughout.

    Args:
        texts, pairs: the two texts of n rows.

    Returns:
        (n,) int64, equal numbers for one group.

    >>> pair_groups(["a", "b", "c"], ["x", "a", "y"]).tolist()
    [0, 0, 2]
    """
    first_row: dict[str, int] = {}
    ties = [
        (row, first_row.setdefault(key, row))
        for row, sides in enumerate(zip(texts, pairs, strict=True))
        for key in set(map(normalise, sides)) - {""} or {""}
    ]
    left, right = np.array(ties, dtype=np.int64).reshape(-1, 2).T
    return _components(len(texts), left, right)


def context_groups(articles: Sequence[str], contexts: Sequence[str]) -> np.ndarray:
    """Group the questions of one article, and those of articles that share a context; of few articles, contexts alone.

    Args:
        articles, contexts: title and context of n questions.

    Returns:
        (n,) int64, equal numbers for one group.

    >>> context_groups(["Nile", "Nile", "Cairo"], ["the river", "a delta", "the city"]).tolist()
    [0, 1, 2]
    """
    few = len(set(articles)) < FEWEST_ARTICLES
    return pair_groups(contexts if few else articles, contexts)


def _contained(texts: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (inner, outer) with the words of inner in a row inside outer; texts are distinct and long enough.

    An inverted index of four-word windows proposes, for each text, the places of its rarest window; a polynomial
    hash of 64 bits over the text's whole length decides (windows of any length in constant time, from prefix sums).
    """
    if not texts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    lengths = np.array([len(text) for text in texts])
    ends = np.cumsum(lengths)
    starts = ends - lengths
    prefix, inverse_powers = _prefix_hashes(word for text in texts for word in text)

    def hashes(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        return (prefix[end] - prefix[begin]) * inverse_powers[begin]

    windows = lengths - SHORTEST + 1
    text_of = np.repeat(np.arange(len(texts)), windows)
    first_window = np.cumsum(windows) - windows
    places = np.arange(len(text_of)) - first_window[text_of] + starts[text_of]
    _, window, counts = np.unique(hashes(places, places + SHORTEST), return_inverse=True, return_counts=True)
    by_window = np.argsort(window, kind="stable")
    window_start = np.cumsum(counts) - counts

    # the rarest window of each text: sorting by (text, count) brings it to the text's front
    rarest = np.lexsort((counts[window], text_of))[first_window]
    offset = places[rarest] - starts
    candidates = counts[window[rarest]]
    whole = hashes(starts, ends)
    blocks = np.searchsorted(np.cumsum(candidates), np.arange(_BLOCK, candidates.sum(), _BLOCK))
    found = []
    for block in np.split(np.arange(len(texts)), np.unique(blocks)):
        inside = np.repeat(block, candidates[block])
        nth = np.arange(len(inside)) - np.repeat(np.cumsum(candidates[block]) - candidates[block], candidates[block])
        place = by_window[window_start[window[rarest[inside]]] + nth]
        outside = text_of[place]
        begin = places[place] - offset[inside]
        fits = (outside != inside) & (begin >= starts[outside]) & (begin + lengths[inside] <= ends[outside])
        inside, outside, begin = inside[fits], outside[fits], begin[fits]
        equal = hashes(begin, begin + lengths[inside]) == whole[inside]
        found.append(np.unique(inside[equal] * len(texts) + outside[equal]))
    return np.divmod(np.concatenate(found), len(texts))


def _prefix_hashes(words: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Prefix sums of word_i * base**i modulo 2**64, and base**-i: their product hashes any window."""
    ids: dict[str, int] = {}
    flat = np.array([ids.setdefault(word, len(ids)) for word in words])
    codes = np.random.default_rng(0).integers(0, 2**64, size=len(ids), dtype=np.uint64)
    base = 0x9E3779B97F4A7C15  # any odd number has an inverse modulo 2**64
    powers, inverse_powers = (
        np.cumprod(np.full(len(flat) + 1, number % 2**64, dtype=np.uint64)) for number in (base, pow(base, -1, 2**64))
    )
    prefix = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes[flat] * powers[:-1])])
    return prefix, inverse_powers * np.uint64(base)


def _components(size: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Connected components of `size` nodes under the edges; each is numbered by its smallest node."""
    label = np.arange(size)
    while True:
        smallest = np.minimum(label[left], label[right])
        before = label.copy()
        for end in (label[left], label[right], left, right):
            np.minimum.at(label, end, smallest)
        while not np.array_equal(label, label[label]):
            label = label[label]
        if np.array_equal(label, before):
            return label

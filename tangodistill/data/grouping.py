"""Which rows must stay on one side of a cut: texts that hold one another, pairs that share a text, an article."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np

from tangodistill.data.leaks import normalise

SHORTEST = 4
"""Words from which on one text inside another ties both together."""

FEWEST_ARTICLES = 10
"""From here on an article is no larger than a slice, on average; of fewer, a cut by articles may find nothing."""

_BLOCK = 1 << 20  # places looked at at once: bounds the memory


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
    same, long = np.arange(len(texts)), _Words()
    first_words: dict[str, int] = {}
    for row, text in enumerate(texts):
        words = text.casefold().split()
        same[row] = first_words.setdefault(" ".join(words), row)
        if same[row] == row and len(words) >= SHORTEST:
            long.add(row, words)
    inner, outer = _contained(long)
    everyone = np.arange(len(texts))
    return _components(
        len(texts),
        np.concatenate([everyone, everyone, inner]),
        np.concatenate([np.array(equal, dtype=np.int64), same, outer]),
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


class _Words:
    """The words of some texts, distinct and of four words or more each, as numbers one after the other."""

    def __init__(self):
        self._ids: dict[str, int] = defaultdict(count().__next__)  # a new word gets the next number
        self._flat, self._rows, self._lengths = array("q"), array("q"), array("q")

    def add(self, row: int, words: list[str]) -> None:
        self._flat.extend(map(self._ids.__getitem__, words))
        self._rows.append(row)
        self._lengths.append(len(words))

    @property
    def rows(self) -> np.ndarray:
        """(n,) the number of each text."""
        return np.array(self._rows, dtype=np.int64)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) words of each text."""
        return np.array(self._lengths, dtype=np.int64)

    def hashes(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """A function from places [begin, end) to 64-bit hashes of the words there, each in constant time.

        A polynomial hash: the prefix sums of word_i * base**i modulo 2**64, brought to one power by base**-begin.
        """
        codes = np.random.default_rng(0).integers(0, 2**64, size=len(self._ids), dtype=np.uint64)
        base = 0x9E3779B97F4A7C15  # any odd number has an inverse modulo 2**64
        size = len(self._flat) + 1
        powers, inverse = (np.full(size, number % 2**64, np.uint64) for number in (base, pow(base, -1, 2**64)))
        for each in (powers, inverse):
            each[0] = 1
            np.cumprod(each, out=each)
        prefix = np.zeros(size, np.uint64)
        np.cumsum(codes[np.frombuffer(self._flat, np.int64)] * powers[:-1], out=prefix[1:])
        return lambda begin, end: (prefix[end] - prefix[begin]) * inverse[begin]


def _contained(texts: _Words) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (inner, outer) of texts that tie each text to all those inside it, word for word.

    At each place of a text the longest other text that begins there is enough: shorter ones begin it, and are tied to
    it. Windows that begin some text are a set closed under shortening, so the longest at a place is found by halving;
    the longest whole text among its beginnings was noted when the set was made. That is O(log) steps a word, however
    often the texts repeat one another.
    """
    rows, lengths = texts.rows, texts.lengths
    if not len(rows):
        return rows, rows
    hashes, ends = texts.hashes(), np.cumsum(lengths)
    starts, counts = ends - lengths, lengths - SHORTEST + 1
    # a text has as many places where a window begins as beginnings (of four words, of five, ...): both in one order
    first = np.cumsum(counts) - counts
    text_of = np.repeat(np.arange(len(rows), dtype=np.int32), counts)
    place = np.arange(len(text_of)) + (starts - first)[text_of]
    beginnings = hashes(starts[text_of], place + SHORTEST)
    longest = _longest_whole(beginnings, first, counts)
    known, example = np.unique(beginnings, return_index=True)
    known_first = np.unique(beginnings[first])

    itself = first + counts - 1
    proper = longest[itself[counts > 1] - 1]  # among a text's own beginnings
    found = [np.stack([proper, np.flatnonzero(counts > 1)])[:, proper >= 0]]
    for block in range(0, len(place), _BLOCK):
        begin, outer = place[block : block + _BLOCK], text_of[block : block + _BLOCK]
        inside = (begin != starts[outer]) & (_index(known_first, hashes(begin, begin + SHORTEST)) >= 0)
        begin, outer = begin[inside], outer[inside]
        low, high = np.full(len(begin), SHORTEST), ends[outer] - begin
        while (low < high).any():
            middle = (low + high + 1) // 2
            hit = _index(known, hashes(begin, begin + middle)) >= 0
            low, high = np.where(hit, middle, low), np.where(hit, high, middle - 1)
        inner = longest[example[_index(known, hashes(begin, begin + low))]]
        found.append(np.unique(np.stack([inner, outer])[:, inner >= 0], axis=1))
    inner, outer = np.concatenate(found, axis=1)
    return rows[inner], rows[outer]


def _longest_whole(beginnings: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(m,) for each beginning of each text, the longest text that it begins with or is; -1 for none.

    Args:
        beginnings: (m,) hashes, of each text from the shortest to the whole.
        first, counts: (n,) where each text's lie.
    """
    whole = beginnings[first + counts - 1]
    order = np.argsort(whole)
    found = _index(whole[order], beginnings)
    newest = np.maximum.accumulate(np.where(found >= 0, np.arange(len(found)), -1))
    own = newest >= np.repeat(first, counts)  # and not of a text before
    return np.where(own, order[found[newest]], -1).astype(np.int32)


def _index(ascending: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each value stands in an ascending array, -1 for nowhere.

    >>> _index(np.array([2, 5]), np.array([5, 3, 2, 9])).tolist()
    [1, -1, 0, -1]
    """
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[at] == wanted, at, -1)


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

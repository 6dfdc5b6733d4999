"""Which texts are nearly one of a few given texts: an exact join on shared words.

Two texts are near where their distinct words overlap by a Jaccard similarity of at least ``NEAR``; case, order,
repetition, punctuation and masks are put aside. If so, they share a word among the rarest few of both (Chaudhuri,
Ganti and Kaushik 2006, "prefix filter"), and only texts that do are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tangodistill.augment.word_ids import ranges

NEAR = 0.8  # one word of ten replaced: 9 of 11


@dataclass(frozen=True)
class WordSets:
    """Distinct words of n texts, those of a text from the rarest to the commonest.

    Attributes:
        words: (w,) int64, ranks by frequency in the given texts; below zero for words that these do not have.
        rows: (w,) int64, the text of each.
        sizes: (n,) int64
    """

    words: np.ndarray
    rows: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, words: np.ndarray, rows: np.ndarray, n: int) -> "WordSets":
        """The sets of words that come in any order, with repetitions."""
        low = words.min(initial=0)
        span = words.max(initial=0) - low + 1
        rows, words = np.divmod(np.unique(rows * span + words - low), span)
        return cls(words + low, rows, np.bincount(rows, minlength=n))

    @property
    def starts(self) -> np.ndarray:
        """(n,) int64, where the words of each text begin"""
        return np.cumsum(self.sizes) - self.sizes

    def prefix(self) -> np.ndarray:
        """(w,) bool: so many of a text's rarest words that a near text must have one of them among its own."""
        position = np.arange(len(self.words)) - self.starts[self.rows]
        return position <= (self.sizes - _least(self.sizes))[self.rows]


class NearTexts:
    """Finds which of some given texts (or pairs) others are near to.

    Args:
        words: (w,) int64, ids of the given texts' words; of a pair, ids differ between the sides.
        rows: (w,) int64, the text of each.
        n: given texts.
    """

    def __init__(self, words: np.ndarray, rows: np.ndarray, n: int):
        ids, inverse = np.unique(words, return_inverse=True)
        once = WordSets.of(inverse, rows, n)
        by_frequency = np.argsort(np.bincount(once.words, minlength=len(ids)), kind="stable")
        self._rank = np.full(ids.max(initial=-1) + 1, -1)
        self._rank[ids[by_frequency]] = np.arange(len(ids))
        self._sets = sets = WordSets.of(self._ranks(words), rows, n)
        self._members = np.sort(sets.rows * len(ids) + sets.words)
        self._distinct = len(ids)
        self._longest = int(sets.sizes.max(initial=0))
        prefix = sets.prefix()
        postings = sets.words[prefix] * (self._longest + 1) + sets.sizes[sets.rows[prefix]]
        order = np.argsort(postings, kind="stable")
        self._postings, self._posting_rows = postings[order], sets.rows[prefix][order]

    def find(self, words: np.ndarray, rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All near pairs: rows of the texts asked about, rows of the given texts, similarities; (pairs,) each."""
        sets = WordSets.of(self._ranks(words), rows, n)
        asked, given = self._candidates(sets)
        shared = self._shared(sets, asked, given)
        similarity = shared / (sets.sizes[asked] + self._sets.sizes[given] - shared)
        near = similarity >= NEAR
        return asked[near], given[near], similarity[near]

    def _ranks(self, words: np.ndarray) -> np.ndarray:
        """(w,) int64; an unknown word keeps an id of its own, below zero, and counts as rarest."""
        ranks = -1 - words
        known = words < len(self._rank)
        known[known] = self._rank[words[known]] >= 0
        ranks[known] = self._rank[words[known]]
        return ranks

    def _candidates(self, sets: WordSets) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of rows that share a rare word and do not differ too much in size."""
        asked = sets.prefix() & (sets.words >= 0)
        words, rows = sets.words[asked], sets.rows[asked]
        most = np.floor(sets.sizes[rows] / NEAR + 1e-9).astype(np.int64)
        base = words * (self._longest + 1)
        low = np.searchsorted(self._postings, base + np.minimum(_least(sets.sizes[rows]), self._longest + 1))
        high = np.searchsorted(self._postings, base + np.minimum(most, self._longest), side="right")
        given = self._posting_rows[ranges(low, high - low)]
        pairs = np.unique(np.repeat(rows, high - low) * len(self._sets.sizes) + given)
        return np.divmod(pairs, max(1, len(self._sets.sizes)))

    def _shared(self, sets: WordSets, asked: np.ndarray, given: np.ndarray) -> np.ndarray:
        """(pairs,) how many words both have."""
        sizes = sets.sizes[asked]
        words = sets.words[ranges(sets.starts[asked], sizes)]
        pair, known = np.repeat(np.arange(len(asked)), sizes), words >= 0
        keys = given[pair[known]] * self._distinct + words[known]
        place = np.minimum(np.searchsorted(self._members, keys), len(self._members) - 1)
        return np.bincount(pair[known][self._members[place] == keys], minlength=len(asked))


def _least(sizes: np.ndarray | Sequence[int]) -> np.ndarray:
    """How many words a near text of a text of so many words has at least, all of them shared.

    >>> _least([1, 5, 9]).tolist()
    [1, 4, 8]
    """
    return np.ceil(NEAR * np.asarray(sizes) - 1e-9).astype(np.int64)

"""Texts as arrays of word ids, split as the student's tokenizer splits them."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tangodistill.data.glove import SPECIAL_TOKENS, student_words

SLICE = 20_000  # rows in memory at a time
REMEMBERED = 200_000  # runs without white space whose words are kept; text without spaces has no end of them


class WordIds:
    """Gives every word an id, its place in ``names``: the special tokens come first, then words as they appear.

    No word reaches across white space, so a run between two spaces is split once and looked up from then on.
    """

    def __init__(self) -> None:
        self._ids = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
        self.names = list(SPECIAL_TOKENS)
        self._runs: dict[str, tuple[int, ...]] = {}

    def read(self, table: pa.Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """A slice of rows at a time: word ids (w,) int64, and how many of them each text has, (sides, rows) int64.

        Of pairs the words of a slice's first texts come before those of its second texts.
        """
        for start in range(0, table.num_rows, SLICE):
            part = table.slice(start, SLICE)
            ids, counts = zip(*(self._read(column.combine_chunks()) for column in part.columns), strict=True)
            yield np.concatenate(ids), np.stack(counts)

    def _read(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Word ids (w,) and words of each text (n,), both int64."""
        runs = pc.utf8_split_whitespace(texts)
        encoded = runs.flatten().dictionary_encode()
        words = self._split(encoded.dictionary.to_pylist())
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        indices = encoded.indices.to_numpy()
        flat = np.fromiter(chain.from_iterable(words), np.int64)
        ids = flat[ranges((np.cumsum(lengths) - lengths)[indices], lengths[indices])]
        runs_per_text = pc.list_value_length(runs).to_numpy(zero_copy_only=False)
        text_of_run = np.repeat(np.arange(len(texts)), runs_per_text)
        return ids, np.bincount(text_of_run, lengths[indices], len(texts)).astype(np.int64)

    def _split(self, runs: Sequence[str]) -> list[tuple[int, ...]]:
        if len(self._runs) > REMEMBERED:
            self._runs.clear()
        new = [run for run in runs if run not in self._runs]
        for run, words in zip(new, student_words(new), strict=True):
            self._runs[run] = tuple(map(self._id, words))
        return [self._runs[run] for run in runs]

    def _id(self, word: str) -> int:
        if word not in self._ids:
            self._ids[word] = len(self.names)
            self.names.append(word)
        return self._ids[word]


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(sum of counts,) int64: from each start so many numbers upwards.

    >>> ranges(np.array([5, 0, 7]), np.array([2, 0, 3])).tolist()
    [5, 6, 7, 8, 9]
    """
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())

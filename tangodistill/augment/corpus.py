"""Source texts as arrays of words and tags, the form on which the rules work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import chain

import numpy as np
import pyarrow as pa

from tangodistill.augment.words import split_words
from tangodistill.data.transfer import MASK_TOKEN


@dataclass(frozen=True)
class Corpus:
    """Words of all distinct source texts, one after the other, with what same-tag replacement draws from.

    Attributes:
        vocabulary: (2 v,) strings: v distinct words, the mask token last, then the same with a space before each.
        words: (w,) int32, ids below v.
        glued: (w,) bool, no space before this word.
        tags: (w,) int32, tag ids.
        offsets: (texts + 1,) int64, text i is ``words[offsets[i]:offsets[i + 1]]``.
        text_of_row: (rows,) int64, which text each source row holds (for pairs: all first sides, then all second).
        pool: (p,) int32, the word of every position of every source row, grouped by tag: with multiplicity, so that a
            uniform draw among a tag's entries follows the tag's unigram distribution.
        pool_offsets: (tags + 1,) int64, tag t owns ``pool[pool_offsets[t]:pool_offsets[t + 1]]``.
    """

    vocabulary: pa.StringArray
    words: np.ndarray
    glued: np.ndarray
    tags: np.ndarray
    offsets: np.ndarray
    text_of_row: np.ndarray
    pool: np.ndarray
    pool_offsets: np.ndarray

    @property
    def mask_id(self) -> int:
        return len(self.vocabulary) // 2 - 1

    @property
    def words_per_row(self) -> np.ndarray:
        """(rows,) int64"""
        return np.diff(self.offsets)[self.text_of_row]

    def to_table(self) -> pa.Table:
        """Every array as the one row of a table, which a file keeps so that workers map it instead of copying it."""
        columns = {}
        for field in fields(self):
            values = pa.array(getattr(self, field.name))
            columns[field.name] = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
        return pa.table(columns)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Corpus":
        """The corpus that ``to_table`` made the table of."""
        arrays = {name: table[name].chunk(0).values for name in table.column_names}
        vocabulary = arrays.pop("vocabulary")
        return cls(vocabulary, **{name: values.to_numpy(zero_copy_only=False) for name, values in arrays.items()})


def build_corpus(texts: Sequence[str], tag: Callable[[list[list[str]]], list[list[str]]]) -> Corpus:
    """Split every distinct text into words and tag it once.

    Args:
        texts: (rows,) source texts; for pairs all first sides, then all second sides.
        tag: gives the tags of texts that come as lists of words.
    """
    index: dict[str, int] = {}
    text_of_row = np.array([index.setdefault(text, len(index)) for text in texts], dtype=np.int64)
    split = [split_words(text) for text in index]
    ids: dict[str, int] = {}
    words = _ids(chain.from_iterable(words for words, _ in split), ids)
    tag_ids: dict[str, int] = {}
    tags = _ids(chain.from_iterable(tag([words for words, _ in split])), tag_ids)
    lengths = np.array([len(words) for words, _ in split], dtype=np.int64)
    occurrences = np.repeat(np.bincount(text_of_row, minlength=len(index)), lengths)
    by_tag = np.argsort(tags, kind="stable")
    return Corpus(
        vocabulary=pa.array([*ids, MASK_TOKEN, *(f" {word}" for word in ids), f" {MASK_TOKEN}"]),
        words=words,
        glued=np.fromiter(chain.from_iterable(glued for _, glued in split), dtype=bool),
        tags=tags,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        text_of_row=text_of_row,
        pool=np.repeat(words[by_tag], occurrences[by_tag]),
        pool_offsets=np.concatenate([[0], np.cumsum(np.bincount(tags, occurrences, len(tag_ids)).astype(np.int64))]),
    )


def _ids(values, ids: dict[str, int]) -> np.ndarray:
    """int32 ids of strings in the order of first appearance; ``ids`` grows by the new ones."""
    return np.fromiter((ids.setdefault(value, len(ids)) for value in values), dtype=np.int32)

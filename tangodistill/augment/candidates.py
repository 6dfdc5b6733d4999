"""Words that may stand in another's place: a masked language model's most probable, or GloVe's nearest."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from tangodistill.augment.masked_model import SEVERAL_PIECES, load_masked_model
from tangodistill.data.glove import load_vectors
from tangodistill.data.packages import resolve

Span = tuple[int, int]

WORDS_PER_PRODUCT = 32  # times GloVe's 400,000 words: 51 MB of similarities
SPARE = 16  # looked at beyond what is wanted, since some are the word itself in another spelling or double


def find_candidates(
    texts: Sequence[str], spans: Sequence[Sequence[Span]], model: str, glove: str, original: bool, count: int
) -> list[list[list[str]]]:
    """For each text, for each of its words at ``spans``, up to ``count`` other words, the best first.

    A word that is one piece of the model's tokenizer is masked and filled; one of several pieces, or unknown, gets its
    nearest in GloVe; one that lies beyond the model's length gets none.

    Args:
        original: whether the model also reads the unmasked text, as second segment.
    """
    row = np.repeat(np.arange(len(texts)), [len(text_spans) for text_spans in spans])
    words = [text[start:end] for text, part in zip(texts, spans, strict=True) for start, end in part]
    if not words:
        return [[] for _ in texts]
    with one_thread():
        masked = load_masked_model(model)
        encoded = masked.encode(texts, original)
        pieces = masked.pieces(encoded, texts, spans)
        single = np.flatnonzero(pieces >= 0)
        found: list[list[str]] = [[] for _ in words]
        for i, candidates in zip(single, masked.fill(encoded, row[single], pieces[single], count + SPARE), strict=True):
            found[i] = candidates
        several = np.flatnonzero(pieces == SEVERAL_PIECES)
        if len(several):
            neighbours = load_neighbours(glove)
            nearest = neighbours.find([words[i] for i in several], count)
            for i, candidates in zip(several, nearest, strict=True):
                found[i] = candidates
    lists = [others_like(word, candidates)[:count] for word, candidates in zip(words, found, strict=True)]
    bounds = np.searchsorted(row, np.arange(len(texts) + 1))
    return [lists[start:end] for start, end in zip(bounds[:-1], bounds[1:], strict=True)]


def others_like(word: str, candidates: Sequence[str]) -> list[str]:
    """The candidates that are other words, each once, with the capitals of the word that they stand for.

    >>> others_like("Film", ["film", "movie", "Movie", "iPod"])
    ['Movie', 'IPod']
    >>> others_like("FILM", ["movie"]), others_like("film", ["Hollywood"])
    (['MOVIE'], ['Hollywood'])
    """
    others = [candidate for candidate in candidates if candidate.lower() != word.lower()]
    if word.istitle():
        others = [other[:1].upper() + other[1:] for other in others]
    elif word.isupper():
        others = [other.upper() for other in others]
    return list(dict.fromkeys(others))


@dataclass(frozen=True)
class Neighbours:
    """GloVe's words by their directions; a word's nearest are looked for once.

    Attributes:
        unit: (v, width) float32, rows of length one; words whose vector is zero have no direction and are left out.
    """

    words: list[str]
    index: dict[str, int]
    unit: torch.Tensor
    known: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    def find(self, words: Sequence[str], count: int) -> list[list[str]]:
        """For each word up to ``count`` others of highest cosine; none for a word that GloVe doesn't hold."""
        rows = [self.index.get(word, self.index.get(word.lower(), -1)) for word in words]
        missing = [row for row in dict.fromkeys(rows) if row >= 0 and (row, count) not in self.known]
        for start in range(0, len(missing), WORDS_PER_PRODUCT):
            block = missing[start : start + WORDS_PER_PRODUCT]
            for row, nearest in zip(block, self._nearest(block, count + SPARE), strict=True):
                others = (self.words[i] for i in nearest)
                own = self.words[row].lower()
                self.known[row, count] = [other for other in others if other.lower() != own][:count]
        return [self.known.get((row, count), []) for row in rows]

    def _nearest(self, rows: list[int], count: int) -> list[list[int]]:
        """Rows of highest cosine, the word's own among them.

        Single precision rounds by the block's shape; the short list is sorted by exact sums, so that a word's
        neighbours don't depend on the words that are asked for beside it.
        """
        _, ids = (self.unit[rows] @ self.unit.T).topk(min(count, len(self.words)))
        ids = ids.sort().values
        exact = torch.einsum("nkw,nw->nk", self.unit[ids].double(), self.unit[rows].double())
        return ids.gather(1, exact.argsort(descending=True, stable=True)).tolist()


@lru_cache(maxsize=1)
def load_neighbours(glove: str) -> Neighbours:
    """A GloVe text file's neighbourhoods.

    Raises:
        UserError: the file is missing or unreadable.
    """
    vectors = load_vectors(resolve(glove))
    lengths = vectors.vectors.norm(dim=1)
    kept = (lengths > 0) & lengths.isfinite()
    words = [vectors.itos[i] for i in kept.nonzero()[:, 0].tolist()]
    unit = vectors.vectors[kept] / lengths[kept, None]
    return Neighbours(words, {word: i for i, word in enumerate(words)}, unit)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: the workers share the cores already, and sums stay in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

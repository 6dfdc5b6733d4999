"""Rule-based variants of a text: masking, same-tag replacement, n-gram sampling.

The rules are those of Tang et al. (2019), "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks".
One difference is meant: an n-gram starts at each of its possible places with equal probability, the last one included.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tangodistill.augment.corpus import Corpus
from tangodistill.augment.generator import SideRows, VaryingGenerator
from tangodistill.user_error import UserError

LONGEST_NGRAM = 5


@dataclass(frozen=True)
class RulesConfig(VaryingGenerator):
    """Probabilities of the rules, and how often they are tried on a text."""

    name = "rules"
    needs_tags = True
    rows_per_shard = 1024

    p_mask: float = 0.1
    """Probability that a word becomes [MASK]."""
    p_pos: float = 0.1
    """Probability that a word becomes a random word of the same part of speech."""
    p_ngram: float = 0.25
    """Probability that only a random run of one to five words is kept."""
    draws_per_text: int | None = None
    """Variants tried per source row; 20 for single texts and 10 for pairs if not given."""
    share: float | None = None
    """Of the generated texts in the set; by default what each generator yields."""

    def check(self) -> None:
        """Raises UserError for probabilities that are none, or that exclude each other, and for less than one draw."""
        for name in ("p_mask", "p_pos", "p_ngram"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"rules.{name} is {getattr(self, name)}: a probability lies between 0 and 1.")
        if self.p_mask + self.p_pos > 1:
            raise UserError(
                f"rules.p_mask {self.p_mask} and rules.p_pos {self.p_pos} add up to more than 1: "
                "a word is either masked, or replaced, or kept."
            )
        if self.draws_per_text is not None and self.draws_per_text < 1:
            raise UserError(f"rules.draws_per_text is {self.draws_per_text}: it must be at least 1.")

    def vary(self, rows: SideRows, rng: np.random.Generator) -> tuple[pa.Array, np.ndarray]:
        return vary(*rows.corpus(), self, rng)


def vary(
    corpus: Corpus, rows: np.ndarray, config: RulesConfig, rng: np.random.Generator
) -> tuple[pa.StringArray, np.ndarray]:
    """One random variant of each given row's text.

    Args:
        rows: (n,) int64 rows of the corpus, repeated for several variants of one.

    Returns:
        (n,) texts, and (n,) bool: no word of the source is left in it.
    """
    # The window comes first, so that no draws are spent on words outside of it: the outcome has the same distribution.
    starts, lengths = _windows(corpus, corpus.text_of_row[rows], config.p_ngram, rng)
    ends = np.cumsum(lengths)
    offsets = np.concatenate([[0], ends])
    positions = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])

    words = corpus.words[positions]
    draw = rng.random(len(positions))
    replaced = draw < config.p_mask + config.p_pos
    masked = draw < config.p_mask
    same_tag = replaced & ~masked
    words[masked] = corpus.mask_id
    words[same_tag] = _words_of_tag(corpus, corpus.tags[positions[same_tag]], rng)

    spaced = ~corpus.glued[positions]
    spaced[offsets[:-1][lengths > 0]] = False
    kept_words = np.concatenate([[0], np.cumsum(~replaced)])
    none_left = (kept_words[ends] == kept_words[offsets[:-1]]) & (lengths > 0)
    return _join(corpus, words + spaced * (corpus.mask_id + 1), offsets), none_left


def _windows(
    corpus: Corpus, texts: np.ndarray, p_ngram: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where each variant starts among the corpus' words, and its length in words; a short text is kept whole."""
    starts = corpus.offsets[texts]
    whole = corpus.offsets[texts + 1] - starts
    sampled = rng.random(len(texts)) < p_ngram
    lengths = np.where(sampled, np.minimum(rng.integers(1, LONGEST_NGRAM + 1, len(texts)), whole), whole)
    return starts + rng.integers(0, whole - lengths + 1), lengths


def _words_of_tag(corpus: Corpus, tags: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random word of each tag, from the tag's unigram distribution."""
    return corpus.pool[rng.integers(corpus.pool_offsets[tags], corpus.pool_offsets[tags + 1])]


def _join(corpus: Corpus, pieces: np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    """Texts from vocabulary ids, which hold the spaces already."""
    taken = corpus.vocabulary.take(pa.array(pieces))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), taken), "")

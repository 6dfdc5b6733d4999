"""Variants of a text by words that a masked language model, or GloVe's neighbourhood, puts in the place of its own.

The method is the data augmentation of Jiao et al. (2020), "TinyBERT: Distilling BERT for Natural Language
Understanding" (algorithm 1). Differences that are meant:

- A word is never a candidate for its own place, so that ``p`` is the share of words that change.
- The ``candidates`` are as many whole words: pieces that are none are passed over before counting, not after.
- A word that the tokenizer does not know is treated as one of several pieces, whose neighbours GloVe knows.
- Each masked word is found by its place in the text, so tokenizers that don't split like BERT's serve as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tangodistill.augment.generator import DRAWS_SINGLE, SideRows, VaryingGenerator
from tangodistill.augment.words import split_words
from tangodistill.user_error import UserError

Context = Literal["original", "none"]

STOP_WORDS = frozenset(
    """
    a an the this that these those some any each every either neither no both all such
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves one who whom whose which what
    am is are was were be been being do does did doing done has have had having can could may might must shall should
    will would ought ca wo ai
    about above across after against along among around as at before behind below beneath beside between beyond by
    down during except for from in inside into like near of off on onto out over per since through to toward under
    until up upon via with within without
    and but or nor so yet if then than because while although though unless whether when where why how
    not never also just only very too here there again once
    """.split()
)
"""Words that hold a sentence together; their replacement breaks its grammar more often than it changes its content."""


@dataclass(frozen=True)
class MaskFillConfig(VaryingGenerator):
    """Words replaced by what a masked language model, or GloVe's neighbourhood, puts there."""

    name = "mask_fill"
    rows_per_shard = 512

    model: str
    """Masked language model of BERT's or RoBERTa's kind, with its head: folder or hub name."""
    glove: str = "package:glove-6b-50d"
    """GloVe text file, for words that the model's tokenizer breaks into pieces."""
    context: Context = "original"
    """What the model reads beside the masked text: the "original" as second segment, as in TinyBERT, or "none"."""
    p: float = 0.4
    """Probability that a word is replaced."""
    candidates: int = 15
    """How many words one is drawn from, with equal probability."""
    draws_per_text: int | None = None
    """Variants tried per source row; 20 if not given."""
    share: float | None = None
    """Of the generated texts in the set; by default what each generator yields."""

    def check(self) -> None:
        """Raises UserError for a probability that is none, an unknown context, and less than one candidate or draw."""
        if not 0 <= self.p <= 1:
            raise UserError(f"mask_fill.p is {self.p}: a probability lies between 0 and 1.")
        if self.context not in get_args(Context):
            raise UserError(f"mask_fill.context is {self.context!r}: it must be {' or '.join(get_args(Context))}.")
        for name in ("candidates", "draws_per_text"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"mask_fill.{name} is {value}: it must be at least 1.")

    def draws(self, pairs: bool) -> int:
        """20 for a pair too (Jiao et al. 2020)."""
        return self.draws_per_text or DRAWS_SINGLE

    def vary(self, rows: SideRows, rng: np.random.Generator) -> tuple[pa.Array, None]:
        return pa.array(vary(rows.texts(), self, rng), pa.string()), None


def vary(texts: Sequence[str], config: MaskFillConfig, rng: np.random.Generator) -> list[str]:
    """(n,) one random variant of each text; candidates are found once for each distinct text.

    Args:
        texts: (n,) texts, repeated for several variants of one.

    Raises:
        UserError: where the model or the GloVe file can't be loaded.
    """
    from tangodistill.augment.candidates import find_candidates  # torch and transformers, for workers that need them

    index: dict[str, int] = {}
    rows = np.array([index.setdefault(text, len(index)) for text in texts], dtype=np.int64)
    distinct = list(index)
    spans = [replaceable_words(text) for text in distinct]
    candidates = find_candidates(
        distinct, spans, config.model, config.glove, config.context == "original", config.candidates
    )
    return Templates.build(distinct, spans, candidates).draw(rows, config.p, rng)


def replaceable_words(text: str) -> list[tuple[int, int]]:
    """Start and end of each word that is purely alphabetic and no stop word.

    >>> replaceable_words("The film, it isn't  bad.")
    [(4, 8), (20, 23)]
    """
    spans, end = [], 0
    for word in split_words(text)[0]:
        start = text.index(word, end)  # only white space lies between two words
        end = start + len(word)
        if word.isalpha() and word.lower() not in STOP_WORDS:
            spans.append((start, end))
    return spans


@dataclass(frozen=True)
class Templates:
    """Texts as runs of fixed text and replaceable words in turn; both are parts here.

    Attributes:
        strings: (s,) what each part holds, followed by its candidates.
        own: (parts,) int64, where in ``strings`` the part's own text stands.
        counts: (parts,) int64, its candidates; 0 for fixed text.
        offsets: (texts + 1,) int64, text i is the parts ``offsets[i]:offsets[i + 1]``.
    """

    strings: pa.StringArray
    own: np.ndarray
    counts: np.ndarray
    offsets: np.ndarray

    @classmethod
    def build(
        cls, texts: list[str], spans: list[list[tuple[int, int]]], candidates: list[list[list[str]]]
    ) -> "Templates":
        """Cut each text at its words at ``spans``, and put their candidates behind them."""
        strings: list[str] = []
        counts: list[int] = []
        lengths: list[int] = []
        for text, text_spans, lists in zip(texts, spans, candidates, strict=True):
            end = 0
            for (start, stop), options in zip(text_spans, lists, strict=True):
                strings += (text[end:start], text[start:stop], *options)
                counts += (0, len(options))
                end = stop
            strings.append(text[end:])
            counts.append(0)
            lengths.append(2 * len(text_spans) + 1)
        per_part = np.array(counts, dtype=np.int64)
        own = np.cumsum(per_part + 1) - per_part - 1
        return cls(pa.array(strings, pa.string()), own, per_part, np.concatenate([[0], np.cumsum(lengths)]).astype(int))

    def draw(self, rows: np.ndarray, p: float, rng: np.random.Generator) -> list[str]:
        """(n,) a variant of each given text: each word with candidates becomes one of them with probability ``p``.

        Args:
            rows: (n,) int64 texts.
        """
        lengths = np.diff(self.offsets)[rows]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        parts = np.repeat(self.offsets[rows] - ends[:-1], lengths) + np.arange(ends[-1])
        counts, taken = self.counts[parts], self.own[parts]
        words = np.flatnonzero(counts)
        replaced = words[rng.random(len(words)) < p]
        taken[replaced] += rng.integers(1, counts[replaced] + 1)
        lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), self.strings.take(pa.array(taken)))
        return pc.binary_join(lists, "").to_pylist()

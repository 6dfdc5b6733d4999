"""Questions and their contexts to token ids: a long context becomes windows that overlap.

On the serving path, as `tokenize` is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from tangodistill.data.chunks import chunks
from tangodistill.data.shorten import Shortener
from tangodistill.data.special_tokens import SpecialTokens
from tangodistill.data.tokenize import CHUNK, CHUNK_CHARACTERS, TokenizedTexts
from tangodistill.user_error import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUESTION_LENGTH = 64  # tokens, as in the scripts of BERT: a longer question is cut, so that a context always has room
_SURROGATE = re.compile("[\ud800-\udfff]")


class WindowEncoder:
    """A tokenizer frozen at one window length.

    Args:
        backend: Rust tokenizer, which from now on belongs to this encoder.
        max_length: tokens of a window: question, context and special tokens.
        stride: context tokens that neighbouring windows share; None: a third of the length, 128 of 384 as in the
            scripts of BERT.
        pad_id: id that fills a batch on the right.
        with_type_ids: whether the model reads `token_type_ids`.
        question_length: tokens kept of a question.

    Raises:
        UserError: the length leaves no room for a context beside the rest.
    """

    def __init__(
        self,
        backend: Tokenizer,
        max_length: int,
        stride: int | None,
        pad_id: int,
        with_type_ids: bool,
        question_length: int = QUESTION_LENGTH,
    ):
        stride = max_length // 3 if stride is None else stride
        self.max_length, self.stride, self.pad_id, self.with_type_ids = max_length, stride, pad_id, with_type_ids
        self.question_length, self._backend = question_length, backend
        self._shortener = Shortener(backend, question_length)
        backend.no_padding()
        backend.no_truncation()
        self._frame, self._special = _Frame.of(backend), SpecialTokens(backend)
        least = question_length + len(self._frame.ids) + stride + 1
        if max_length < least:
            raise UserError(
                f"max_length is {max_length}, but windows of questions of {question_length} tokens that share {stride} "
                f"tokens need {least} at least; raise max_length or lower stride"
            )

    @classmethod
    def of(
        cls,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        stride: int | None = None,
        question_length: int = QUESTION_LENGTH,
    ) -> WindowEncoder:
        """The encoder of any fast tokenizer of transformers, over a copy of its Rust part."""
        return cls(
            Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()),
            max_length,
            stride,
            tokenizer.pad_token_id,
            "token_type_ids" in tokenizer.model_input_names,
            question_length,
        )

    def encode(self, questions: Sequence[str], contexts: Sequence[str]) -> Windows:
        """Encodes n questions with the context of each on all cores; every example has a window at least.

        An empty question or context is encoded as it is: its window holds the special tokens and the other text.

        Raises:
            UserError: a text is no string.
        """
        if len(questions) != len(contexts):
            raise ValueError(f"{len(questions)} questions but {len(contexts)} contexts")
        parts, done = [], 0
        for rows in chunks(zip(questions, contexts, strict=True), CHUNK, CHUNK_CHARACTERS):
            parts.append(self._encode_chunk(*zip(*rows, strict=True), done))
            done += len(rows)
        tokens, examples, sizes = zip(*parts or [self._encode_chunk((), (), 0)], strict=True)
        joined = _Tokens(*map(np.concatenate, zip(*tokens, strict=True)))
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        type_ids = joined.type_ids if self.with_type_ids else None
        texts = TokenizedTexts(joined.ids, offsets, self.pad_id, type_ids)
        return Windows(texts, np.concatenate(examples), joined.starts, joined.ends)

    def save(self, path: Path) -> None:
        """Writes the Rust tokenizer as a tokenizer.json."""
        self._backend.save(str(path))

    def _encode_chunk(self, questions, contexts, start: int) -> tuple[_Tokens, np.ndarray, np.ndarray]:
        """Flat tokens of one chunk, and of each window its example and its size."""
        questions, contexts = (
            [_valid(text, start + row) for row, text in enumerate(column)] for column in (questions, contexts)
        )
        place: dict[str, int] = {}  # many questions are asked of one context, which is encoded once
        which = np.array([place.setdefault(context, len(place)) for context in contexts], np.int64)
        asked = self._asked(questions)
        read = self._backend.encode_batch(list(place), add_special_tokens=False)
        asked_sizes, read_sizes = _sizes(asked), _sizes(read)

        room = self.max_length - len(self._frame.ids) - asked_sizes
        example, begin, size = _cut(read_sizes[which], room, self.stride)
        # each window is five runs of one array that holds the special tokens, the questions, and the contexts
        tokens = _Tokens.of(self._frame, asked, asked_sizes, read, read_sizes)
        self._special.to_unknown(tokens.ids[len(self._frame.ids) :])
        before, between, after = self._frame.sizes
        asked_at = len(self._frame.ids) + np.cumsum(asked_sizes) - asked_sizes
        read_at = len(self._frame.ids) + asked_sizes.sum() + np.cumsum(read_sizes) - read_sizes
        runs = [
            (0, before),
            (asked_at[example], asked_sizes[example]),
            (before, between),
            (read_at[which][example] + begin, size),
            (before + between, after),
        ]
        run_starts, run_sizes = (
            np.stack([np.broadcast_to(column, len(example)) for column in columns], axis=1)
            for columns in zip(*runs, strict=True)
        )
        picked = _runs(run_starts.ravel(), run_sizes.ravel())
        return _Tokens(*(column[picked] for column in tokens)), start + example, run_sizes.sum(1)

    def _asked(self, questions: list[str]) -> list[list[int]]:
        """The first tokens of each question, read off its first words where these are as many."""

        def ids(texts: list[str]) -> list[list[int]]:
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
            return [encoding.ids[: self.question_length] for encoding in encodings]

        cut = [self._shortener.cut(question) for question in questions]
        asked = ids(cut)
        short = [
            row for row, question in enumerate(questions)
            if cut[row] is not question and len(asked[row]) < self.question_length
        ]  # fmt: skip
        for row, whole in zip(short, ids([questions[row] for row in short]), strict=True):
            asked[row] = whole
        return asked


@dataclass(frozen=True)
class Windows:
    """Encoded windows in flat arrays, those of an example one behind the other.

    Attributes:
        tokens: the windows as texts of their own.
        example: (windows,) int64, the example that each belongs to.
        starts, ends: (tokens,) int32, the characters of the context that a token covers; -1 outside the context.
    """

    tokens: TokenizedTexts
    example: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.example)

    @property
    def examples(self) -> int:
        """How many there are: each has a window at least."""
        return int(self.example[-1]) + 1 if len(self.example) else 0

    @property
    def lengths(self) -> np.ndarray:
        """(windows,) tokens per window."""
        return self.tokens.lengths

    def batch(self, indices: Sequence[int] | np.ndarray, pad_to: int | None = None) -> dict[str, np.ndarray]:
        """Model inputs of the chosen windows, as `TokenizedTexts.batch` gives them."""
        return self.tokens.batch(indices, pad_to)

    def in_context(self, indices: Sequence[int] | np.ndarray, width: int) -> np.ndarray:
        """(batch, width) bool: the tokens of the chosen windows that lie in the context; width as the batch has it."""
        indices = np.asarray(indices, np.int64)
        sizes = self.tokens.lengths[indices]
        inside = np.zeros((len(indices), width), bool)
        inside[np.arange(width) < sizes[:, None]] = self.starts[_runs(self.tokens.offsets[indices], sizes)] >= 0
        return inside


class _Frame(NamedTuple):
    """The special tokens around a question and a context, read off a pair that the tokenizer itself puts together."""

    ids: list[int]
    type_ids: list[int]
    sizes: list[int]
    """How many stand before the question, between the two, and behind the context."""
    text_types: tuple[int, int]
    """Token type of the question, and of the context."""

    @classmethod
    def of(cls, backend: Tokenizer) -> _Frame:
        pair = backend.encode("a", "a")
        sides = pair.sequence_ids
        special = [place for place, side in enumerate(sides) if side is None]
        question, context = sides.index(0), sides.index(1)
        return cls(
            [pair.ids[place] for place in special],
            [pair.type_ids[place] for place in special],
            [sum(place < question for place in special), sum(question < place < context for place in special),
             sum(place > context for place in special)],
            (pair.type_ids[question], pair.type_ids[context]),
        )  # fmt: skip


class _Tokens(NamedTuple):
    """Flat columns of tokens."""

    ids: np.ndarray
    type_ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(
        cls, frame: _Frame, asked: list[list[int]], asked_sizes: np.ndarray, read: list[Encoding], sizes: np.ndarray
    ) -> _Tokens:
        """Special tokens, questions and contexts, one behind the other."""
        groups = np.array([len(frame.ids), asked_sizes.sum(), sizes.sum()])
        ids = chain(frame.ids, chain.from_iterable(asked), chain.from_iterable(encoding.ids for encoding in read))
        places = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in read))
        characters = np.full((groups.sum(), 2), -1, np.int32)
        characters[groups[:2].sum() :] = np.fromiter(places, np.int32, 2 * groups[2]).reshape(-1, 2)
        types = np.concatenate([frame.type_ids, np.repeat(frame.text_types, groups[1:])]).astype(np.uint8)
        return cls(np.fromiter(ids, np.int32, groups.sum()), types, characters[:, 0], characters[:, 1])


def _cut(length: np.ndarray, room: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows over contexts of `length` tokens, each `room` wide, sharing `stride` tokens with the next; all (n,).

    Returns: (windows,) the example of each, its first token and its size.

    >>> [array.tolist() for array in _cut(np.array([5, 0]), np.array([3, 3]), stride=1)]
    [[0, 0, 1], [0, 2, 0], [3, 3, 0]]
    """
    step = room - stride
    counts = 1 + np.maximum(0, -((room - length) // step))
    example = np.repeat(np.arange(len(length)), counts)
    begin = _runs(np.zeros_like(counts), counts) * step[example]
    return example, begin, np.minimum(length[example] - begin, room[example])


def _runs(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The numbers of each run that begins at its start, one run behind the other.

    >>> _runs(np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    return np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)


def _sizes(parts: Sequence) -> np.ndarray:
    return np.fromiter(map(len, parts), np.int64, len(parts))


def _valid(text: str, row: int) -> str:
    """A text that has a UTF-8 form and as many characters: each surrogate half is replaced."""
    if not isinstance(text, str):
        raise UserError(f"row {row}: the text is {text!r}, a {type(text).__name__}; every text must be a string")
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)

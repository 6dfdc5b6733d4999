"""Texts to token ids: encoded in bulk by the Rust tokenizer, kept flat, padded a batch at a time.

On the serving path: numpy and the Rust tokenizer alone; transformers only where one of its tokenizers is loaded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from tangodistill.data.chunks import chunks
from tangodistill.data.shorten import Shortener
from tangodistill.data.special_tokens import SpecialTokens, with_meant
from tangodistill.data.text_lengths import what_is_cut, whole_lengths
from tangodistill.user_error import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 8192  # texts per call into Rust: enough to feed all cores, few enough to bound memory
CHUNK_CHARACTERS = 2_000_000  # or fewer texts, where those hold as many


class TextEncoder:
    """A tokenizer frozen at one maximum length.

    Its truncation is set once, so threads may share it. Every text has a token: one padding token where the tokenizer
    gives none.

    Args:
        backend: Rust tokenizer, which from now on belongs to this encoder.
        max_length: tokens kept per text or pair, special tokens included; of a pair the longer side is cut first.
        pad_id: id that fills a batch.
        with_type_ids: whether the model reads `token_type_ids`.
        truncation_side: "right" or "left".
        padding_side: "right" or "left", where a batch is filled.

    Raises:
        UserError: the length leaves no room beside the special tokens.
    """

    def __init__(
        self,
        backend: Tokenizer,
        max_length: int,
        pad_id: int,
        with_type_ids: bool,
        truncation_side: str = "right",
        padding_side: str = "right",
    ):
        self.max_length, self.pad_id, self.with_type_ids, self._backend = max_length, pad_id, with_type_ids, backend
        self.padding_side, self._special = padding_side, SpecialTokens(backend)
        least = backend.num_special_tokens_to_add(is_pair=True) + 2  # a token of either text
        if max_length < least:
            raise UserError(f"max_length is {max_length}, but this tokenizer needs {least} at least; raise max_length")
        self._shortener = Shortener(backend, max_length, truncation_side)
        self._specials = backend.num_special_tokens_to_add(is_pair=False)
        self._is_odd = bool((max_length - backend.num_special_tokens_to_add(is_pair=True)) % 2)
        backend.no_padding()
        backend.enable_truncation(max_length, direction=truncation_side)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast, max_length: int, meant: Collection[str] = ()) -> TextEncoder:
        """The encoder of any fast tokenizer of transformers, over a copy of its Rust part.

        Args:
            meant: special tokens that are meant where a text spells them out; others are text like any other.
        """
        definition = tokenizer.backend_tokenizer.to_str()
        return cls(
            Tokenizer.from_str(with_meant(definition, meant) if meant else definition),
            max_length,
            tokenizer.pad_token_id,
            "token_type_ids" in tokenizer.model_input_names,
            tokenizer.truncation_side,
            tokenizer.padding_side,
        )

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> TokenizedTexts:
        """Encodes all texts on all cores.

        Raises:
            UserError: a text is no string.
        """
        if pairs is not None and len(pairs) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(pairs)} second texts")
        parts = list(self._encode_chunks(texts, pairs))
        lengths, ids, type_ids = zip(*parts, strict=True) if parts else ([], [], [])
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(_join(lengths, np.int64), out=offsets[1:])
        types = _join(type_ids, np.uint8) if self.with_type_ids else None
        return TokenizedTexts(_join(ids, np.int32), offsets, self.pad_id, types, self.padding_side)

    def encode_one(self, text: str, pair: str | None = None) -> dict[str, np.ndarray]:
        """One text as model inputs of shape (1, length), int64: the quick way at batch 1.

        Raises:
            UserError: the text is no string.
        """
        columns = [[text]] if pair is None else [[text], [pair]]
        try:
            encoding = self._backend.encode(*(side for (side,) in self._shortened(columns)))
        except TypeError:
            columns = [[_valid(side, 0)] for (side,) in columns]
            encoding = self._backend.encode(*(side for (side,) in self._shortened(columns)))
        input_ids = np.array([encoding.ids or [self.pad_id]], np.int64)
        special = np.count_nonzero(self._special.among(input_ids))
        if encoding.ids and self._special.spelt_out(special, pair is not None):
            input_ids = self._special.as_text(encoding)[None]
        inputs = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
        if self.with_type_ids:
            inputs["token_type_ids"] = np.array([encoding.type_ids or [0]], np.int64)
        return inputs

    def cut(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> dict[str, float]:
        """What the maximum length takes away from texts, as `what_is_cut` tells it."""
        return what_is_cut(whole_lengths(self._backend, texts, pairs), self.max_length)

    def save(self, path: Path) -> None:
        """Writes the Rust tokenizer as a tokenizer.json."""
        self._backend.save(str(path))

    def fingerprint(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> str:
        """sha256 over everything the ids depend on: tokenizer, length and texts."""
        digest = hashlib.sha256(self._backend.to_str().encode())
        for column in (texts, pairs or []):
            digest.update(f"column of {len(column)}".encode())
            for start in range(0, len(column), CHUNK):
                for text in column[start : start + CHUNK]:
                    digest.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _encode_chunks(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Iterator[tuple]:
        """What `_encode_chunk` gives, a bounded number of rows and characters at a time."""
        done = 0
        for rows in chunks(texts if pairs is None else zip(texts, pairs, strict=True), CHUNK, CHUNK_CHARACTERS):
            yield self._encode_chunk([rows] if pairs is None else list(map(list, zip(*rows, strict=True))), done)
            done += len(rows)

    def _encode_chunk(self, columns: list[list[str]], start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Lengths, flat ids and flat token types of one chunk."""
        try:
            encodings = self._backend.encode_batch_fast(_rows(self._shortened(columns)))
        except TypeError:
            columns = [[_valid(text, start + row) for row, text in enumerate(column)] for column in columns]
            encodings = self._backend.encode_batch_fast(_rows(self._shortened(columns)))
        ids = [encoding.ids or [self.pad_id] for encoding in encodings]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        total = int(lengths.sum())
        flat_ids = np.fromiter(chain.from_iterable(ids), np.int32, total)
        row = np.repeat(np.arange(len(ids)), lengths)
        special = np.bincount(row[self._special.among(flat_ids)], minlength=len(ids))
        for i in np.flatnonzero(self._special.spelt_out(special, len(columns) == 2)):
            if encodings[i].ids:
                flat_ids[row == i] = self._special.as_text(encodings[i])
        if not self.with_type_ids:
            return lengths, flat_ids, None
        type_ids = chain.from_iterable(encoding.type_ids or [0] for encoding in encodings)
        return lengths, flat_ids, np.fromiter(type_ids, np.uint8, total)

    def _shortened(self, columns: list[list[str]]) -> list[list[str]]:
        """The columns, long texts cut to what holds every token that is kept: what is left fills the model alone."""
        cut = [list(map(self._shortener.cut, column)) for column in columns]
        both = list(zip(cut, columns, strict=True))
        rows = sorted({row for short, whole in both for row, text in enumerate(whole) if short[row] is not text})
        if not rows:
            return columns
        was_cut = np.array([[short[row] is not whole[row] for row in rows] for short, whole in both])
        alone = (self._backend.encode_batch_fast([short[row] for row in rows]) for short in cut)
        fills = np.array([[len(encoding.ids) == self.max_length for encoding in column] for column in alone])
        for row in np.array(rows)[(was_cut & ~fills).any(axis=0)]:
            for short, whole in both:
                short[row] = whole[row]
        if len(columns) == 2 and self._is_odd:  # of two that fill the model the longer one keeps a token more
            for row in np.array(rows)[fills.all(axis=0)]:
                (first, whole_first), (second, whole_second) = (
                    (self._count(s[row]), self._count(w[row])) for s, w in both
                )
                if (first > second) != (whole_first > whole_second):
                    longer = int(whole_first <= whole_second)
                    cut[longer][row] = columns[longer][row]
        return cut

    def _count(self, text: str) -> int:
        """Tokens of a whole text, special ones left out."""
        encoding = self._backend.encode(text)
        return sum(len(part.ids) - self._specials for part in (encoding, *encoding.overflowing))


@dataclass(frozen=True)
class TokenizedTexts:
    """Encoded texts in flat arrays: text i owns `ids[offsets[i]:offsets[i + 1]]`.

    Attributes:
        ids: (tokens,) int32.
        offsets: (n + 1,) int64.
        pad_id: id that fills a batch.
        token_type_ids: (tokens,) uint8, where the tokenizer gives them.
        padding_side: "right" or "left", where a batch is filled.
    """

    ids: np.ndarray
    offsets: np.ndarray
    pad_id: int
    token_type_ids: np.ndarray | None = None
    padding_side: str = "right"

    @classmethod
    def from_texts(
        cls,
        tokenizer: PreTrainedTokenizerFast,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        max_length: int,
        meant: Collection[str] = (),
        cache: Path | None = None,
    ) -> TokenizedTexts:
        """Encodes texts, or pairs of texts, truncated to `max_length` tokens.

        Args:
            meant: special tokens that are meant where a text spells them out, as masks in a transfer set.
            cache: folder that keeps the arrays and hands them back memory-mapped; the key covers tokenizer, length
                and texts.

        Raises:
            UserError: a text is no string, or the length leaves no room beside the special tokens.
        """
        encoder = TextEncoder.of(tokenizer, max_length, meant)
        if cache is None:
            return encoder.encode(texts, pairs)
        folder = Path(cache) / encoder.fingerprint(texts, pairs)[:32]
        if not folder.is_dir():
            encoder.encode(texts, pairs)._save(folder)
        return cls._load(folder, encoder.pad_id, encoder.padding_side)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(n,) tokens per text."""
        return np.diff(self.offsets)

    def batch(self, indices: Sequence[int] | np.ndarray, pad_to: int | None = None) -> dict[str, np.ndarray]:
        """Model inputs of the chosen texts, padded on the tokenizer's side.

        Args:
            indices: (batch,) which texts, in this order.
            pad_to: least width; the longest text of the batch where it is None.

        Returns:
            `input_ids`, `attention_mask` and, where the tokenizer gives them, `token_type_ids`: (batch, width) int64.
        """
        indices = np.asarray(indices, dtype=np.int64)
        starts = self.offsets[indices]
        lengths = self.offsets[indices + 1] - starts
        columns = np.arange(max(pad_to or 0, lengths.max(initial=1)))
        mask = columns < lengths[:, None]
        positions = (starts[:, None] + columns)[mask]
        if self.padding_side == "left":
            mask = mask[:, ::-1]
        inputs = {"input_ids": _scatter(self.ids, positions, mask, self.pad_id)}
        inputs["attention_mask"] = mask.astype(np.int64)
        if self.token_type_ids is not None:
            inputs["token_type_ids"] = _scatter(self.token_type_ids, positions, mask, 0)
        return inputs

    def _save(self, folder: Path) -> None:
        """Writes the arrays to a folder that appears whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = tempfile.mkdtemp(prefix="partial-", dir=folder.parent)
        try:
            for name in ("ids", "offsets", "token_type_ids"):
                if (array := getattr(self, name)) is not None:
                    np.save(f"{partial}/{name}.npy", array)
            os.rename(partial, folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            if not folder.is_dir():  # else another process was first, with the same contents
                raise

    @classmethod
    def _load(cls, folder: Path, pad_id: int, padding_side: str) -> TokenizedTexts:
        def read(name: str) -> np.ndarray | None:
            path = folder / f"{name}.npy"
            return np.load(path, mmap_mode="r") if path.exists() else None

        return cls(read("ids"), read("offsets"), pad_id, read("token_type_ids"), padding_side)


def load_tokenizer(folder_or_name: str | Path, trust_remote_code: bool = False) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a model folder or hub model.

    Args:
        trust_remote_code: run the Python files that it brings along, where its tokenizer_config.json asks for it.

    Raises:
        UserError: nothing there, unreadable, not a fast tokenizer, or one without a padding token.
    """
    from transformers import AutoTokenizer

    name = str(folder_or_name)
    folder = Path(name)
    if not folder.is_dir() and (folder.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise UserError(f"{name}: no such model folder; give a folder that holds tokenizer.json, or a hub model's name")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except Exception as error:  # the Rust parser raises plain Exception
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = "save the tokenizer there again" if folder.is_dir() else "offline, give a local model folder instead"
        raise UserError(f"{name}: its tokenizer cannot be read ({reason}); {hint}") from error
    if not tokenizer.is_fast:
        raise UserError(f"{name}: {type(tokenizer).__name__} is no fast tokenizer; a tokenizer.json is needed")
    if tokenizer.pad_token_id is None:
        raise UserError(f"{name}: its tokenizer has no padding token; set pad_token in tokenizer_config.json")
    return tokenizer


def _rows(columns: list[Sequence[str]]) -> list:
    """What the Rust tokenizer takes: a list of texts, or of (text, pair)."""
    return list(columns[0]) if len(columns) == 1 else list(zip(*columns, strict=True))


def _valid(text: str, row: int) -> str:
    """A text that has a UTF-8 form: surrogate halves, which JSON may carry, are joined or replaced."""
    if not isinstance(text, str):
        raise UserError(f"row {row}: the text is {text!r}, a {type(text).__name__}; every text must be a string")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _join(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if len(parts) else np.zeros(0, dtype)


def _scatter(flat: np.ndarray, positions: np.ndarray, mask: np.ndarray, fill: int) -> np.ndarray:
    """(batch, width) int64 with the flat array's values where the mask holds."""
    padded = np.full(mask.shape, fill, np.int64)
    padded[mask] = flat[positions]
    return padded

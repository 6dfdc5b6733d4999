"""A masked language model that proposes words for many masked positions at a time."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from tokenizers import models as piece_models
from transformers import AutoModelForMaskedLM, AutoTokenizer, BatchEncoding
from transformers.utils import logging

from tangodistill.data.hub_access import spare_the_wait
from tangodistill.data.packages import resolve
from tangodistill.models.device import best_device, has_bfloat16
from tangodistill.models.positions import position_limit
from tangodistill.user_error import UserError

TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 16_384}
"""A core is fastest while a batch stays in its cache; a GPU waits for work below."""
SEVERAL_PIECES, CUT_OFF = -1, -2


@dataclass
class MaskedModel:
    """A masked language model, and which pieces of its vocabulary are whole words.

    Attributes:
        words: (v,) each piece as text, without its mark.
        spaced: (v,) bool, a piece that carries the space before it; all, where pieces carry none.
        is_word: (2, v) bool: pieces that are a whole word where none stands before it (row 0), or a space (row 1).
        limit: tokens that the model reads.
        bfloat16: whether the encoder computes in it.
    """

    model: Any
    tokenizer: Any
    words: list[str]
    spaced: np.ndarray
    is_word: torch.Tensor
    limit: int
    bfloat16: bool

    def encode(self, texts: Sequence[str], original: bool) -> BatchEncoding:
        """(texts, longest) token ids, each text cut to what the model reads, twice where it is its own context."""
        pairs = list(texts) if original else None
        return self.tokenizer(
            list(texts), pairs, truncation=True, max_length=self.limit, padding=True, return_tensors="np"
        )

    def pieces(
        self, encoded: BatchEncoding, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> np.ndarray:
        """(words,) int64 position of each word's piece, or SEVERAL_PIECES, or CUT_OFF."""
        found = []
        for i, (text, text_spans) in enumerate(zip(texts, spans, strict=True)):
            for start, end in text_spans:
                first, last = encoded.char_to_token(i, start, 0), encoded.char_to_token(i, end - 1, 0)
                if first is None or last is None:
                    found.append(CUT_OFF)
                elif first == last and self._is_the_word(encoded, i, first, text[start:end], text):
                    found.append(first)
                else:
                    found.append(SEVERAL_PIECES)
        return np.array(found, dtype=np.int64)

    def _is_the_word(self, encoded: BatchEncoding, row: int, position: int, word: str, text: str) -> bool:
        """Whether the piece stands for this word and nothing more ("don" of "don't" doesn't stand for "do")."""
        known = encoded["input_ids"][row, position] != self.tokenizer.unk_token_id
        span = encoded.token_to_chars(row, position)
        return known and text[span.start : span.end].strip() == word  # some tokenizers count the space before it

    @torch.inference_mode()
    def fill(self, encoded: BatchEncoding, rows: np.ndarray, positions: np.ndarray, count: int) -> list[list[str]]:
        """For each masked position up to ``count`` words, the most probable first.

        Args:
            rows: (n,) texts.
            positions: (n,) the token of each that is masked, one at a time.
        """
        device = self.model.device
        kind = torch.from_numpy(self.spaced[encoded["input_ids"][rows, positions]].astype(int))
        results: list[list[str]] = [[]] * len(rows)
        for batch, inputs in self._batches(encoded, rows, positions):
            logits = self.logits(inputs, torch.from_numpy(positions[batch]).to(device))
            logits.masked_fill_(~self.is_word[kind[batch]].to(device), -torch.inf)
            best, ids = logits.topk(min(count, logits.shape[1]))
            for i, row_ids, usable in zip(batch, ids.tolist(), best.isfinite().sum(1).tolist(), strict=True):
                results[i] = [self.words[id_] for id_ in row_ids[:usable]]
        return results

    def _batches(
        self, encoded: BatchEncoding, rows: np.ndarray, positions: np.ndarray
    ) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """Masked sequences of about one length, so many that their tokens fit: which they are, and the model's inputs.

        Long ones come first, so that memory runs out at once or never.
        """
        lengths = encoded["attention_mask"].sum(1)[rows]
        order = np.argsort(-lengths, kind="stable")
        tokens, start = TOKENS_PER_BATCH[self.model.device.type], 0
        while start < len(order):
            longest = lengths[order[start]]
            batch = order[start : start + max(1, tokens // longest)]
            inputs = {name: values[rows[batch], :longest] for name, values in encoded.items()}
            inputs["input_ids"][np.arange(len(batch)), positions[batch]] = self.tokenizer.mask_token_id
            yield batch, {name: torch.from_numpy(values).to(self.model.device) for name, values in inputs.items()}
            start += len(batch)

    @torch.inference_mode()
    def logits(self, inputs: dict[str, torch.Tensor], positions: torch.Tensor) -> torch.Tensor:
        """(n, v) float32 of one position per sequence; the head, the largest cost of small models, sees no other.

        The head stays in float32: in bfloat16 the best logits of a large vocabulary tie.
        """
        device = self.model.device
        with torch.autocast(device.type, torch.bfloat16) if self.bfloat16 else nullcontext():
            hidden = self.model.base_model(**inputs).last_hidden_state
        picked = hidden[torch.arange(len(hidden), device=device), positions]
        return _head(self.model)(picked.float())


@lru_cache(maxsize=1)
def load_masked_model(name: str) -> MaskedModel:
    """The model with its head, on the GPU where there is one, and its tokenizer.

    Raises:
        UserError: where it can't be found or read, has no head, or is of another kind.
    """
    folder = str(resolve(name))
    model, tokenizer = _read(folder)
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    device = best_device()
    words, spaced, is_word = whole_words(tokenizer, model.config.vocab_size)
    limit = min(tokenizer.model_max_length, position_limit(model) or tokenizer.model_max_length)
    return MaskedModel(
        model.to(device).eval(), tokenizer, words, spaced, torch.from_numpy(is_word), limit, has_bfloat16(device)
    )


def whole_words(tokenizer: Any, size: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """What MaskedModel says of each piece: its text, whether it carries a space, and where it is a whole word.

    Words are made of letters and digits: no special token is one, and no mark. A byte-level piece without a space is
    one at the start of a text and behind an opening quote, but it may as well be the end of a word; it is taken for a
    word where the vocabulary holds the same with a space too.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(min(size, len(tokenizer)))))
    pieces += [""] * (size - len(pieces))  # some models have rows to spare
    special = set(tokenizer.all_special_tokens)
    if isinstance(tokenizer.backend_tokenizer.model, piece_models.WordPiece):
        is_word = np.array([piece.isalnum() and piece not in special for piece in pieces])
        return pieces, np.ones(size, dtype=bool), np.stack([is_word, is_word])
    spaced = np.array([piece.startswith("Ġ") for piece in pieces])
    words = [tokenizer.convert_tokens_to_string([piece]).strip() if piece else "" for piece in pieces]
    is_word = np.array([word.isalnum() and piece not in special for word, piece in zip(words, pieces, strict=True)])
    with_space = {piece for piece in pieces if piece.startswith("Ġ")}
    has_twin = np.array([f"Ġ{piece}" in with_space for piece in pieces])
    return words, spaced, np.stack([is_word & ~spaced & has_twin, is_word & spaced])


def _read(folder: str) -> tuple[Any, Any]:
    """Model in float32, read from safetensors only, and tokenizer; every worker would show transformers' reports."""
    spare_the_wait(folder)
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if Path(folder).is_dir():
        logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model, loading = AutoModelForMaskedLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"mask_fill.model: no masked language model could be loaded from {folder!r}: {reason}. Give a folder with "
            "config.json, model.safetensors and tokenizer.json, or a hub name while the hub can be reached."
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    if _head(model) is None or not _has_whole_words(tokenizer):
        raise UserError(
            f"mask_fill.model: {folder!r} is a {type(model).__name__} with a {type(tokenizer).__name__}; "
            "give a masked language model of BERT's or RoBERTa's kind."
        )
    if missing := [key for key in loading["missing_keys"] if key.startswith(("cls.", "lm_head."))]:
        raise UserError(
            f"mask_fill.model: {folder!r} holds an encoder without its masked-language-model head ({missing[0]} is "
            "missing), so it can't fill a mask; give a checkpoint that has one, such as bert-base-uncased."
        )
    return model, tokenizer


def _has_whole_words(tokenizer: Any) -> bool:
    """Whether it masks, and tells which of its pieces are words, and where in the text they stand."""
    kinds = piece_models.WordPiece, piece_models.BPE
    return tokenizer.is_fast and isinstance(tokenizer.backend_tokenizer.model, kinds) and bool(tokenizer.mask_token)


def _head(model: Any) -> Any:
    """From hidden states to logits: BERT names it ``cls``, RoBERTa ``lm_head``."""
    return getattr(model, "cls", None) or getattr(model, "lm_head", None)

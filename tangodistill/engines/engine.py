"""What runs a tier: from raw texts to its outputs, tokenisation included, whatever does the arithmetic."""

import copy
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from tangodistill.data.length_batches import length_batches
from tangodistill.data.spans import SPAN_SCORES
from tangodistill.data.tokenize import TextEncoder, TokenizedTexts
from tangodistill.data.windows import WindowEncoder, Windows
from tangodistill.engines.engine_key import Lengths, engine_key
from tangodistill.engines.forked import PerProcess
from tangodistill.latency.cores import available_cores
from tangodistill.user_error import UserError

SPAN_OUTPUTS = 3


@dataclass(frozen=True)
class TierFacts:
    """What an engine knows of its tier without the model's own code."""

    source: str
    """Folder or name, for messages."""
    label_names: tuple[str, ...]
    """In the order of the tier's own logits."""
    parameters: int
    max_length: int
    """Tokens that model and tokenizer allow, special ones included."""
    exact_length: bool
    """Batches hold texts of one length: a recurrent tier pays for every padded step, and short batches need none."""
    pad_id: int
    with_type_ids: bool
    truncation_side: str = "right"
    padding_side: str = "right"
    kind: str = "classification"
    """Or ``spans``: an example is a question and its context, and the answer a piece of the context."""
    weights: str = ""
    """Hash of the model that was exported."""

    @property
    def outputs(self) -> int:
        """Values of one example: a logit per class; of a span its first and last character and its probability."""
        return SPAN_OUTPUTS if self.kind == "spans" else len(self.label_names)


class Engine(ABC):
    """One tier, run on the CPU. An example's outputs don't depend on its batch (but for the precision `int8`).

    Several threads may use one engine at a time, and a forked child goes on with one of its own.

    Args:
        facts: of the tier.
        encoder: its tokenizer, truncating to no more than the tier allows.
        precision: of the arithmetic, one of `loading.PRECISIONS`.
        threads: cores that one forward pass uses, as far as the process may. In a run over batches as many passes as
            the cores allow run side by side. None: one pass at a time, on all of them.
        length_configuration: that was chosen for a Dynamic-TinyBERT. None: the folder's own, or another model.
    """

    name: str
    span_score: str = "max_probability"
    """How a span tier finds its answers: one of `SPAN_SCORES`."""
    pads: bool = False
    """Whether each example is padded to `max_length`, whatever a call asks for (the paper's protocol)."""

    def __init__(
        self,
        facts: TierFacts,
        encoder: TextEncoder | WindowEncoder,
        precision: str,
        threads: int | None = None,
        length_configuration: Lengths | None = None,
    ):
        self.facts, self.encoder, self.precision = facts, encoder, precision
        self.length_configuration = length_configuration
        self.cores = available_cores()
        self.threads = threads and min(threads, self.cores)
        self.passes_at_once = self.cores // self.threads if self.threads else 1
        self._pool = PerProcess(partial(ThreadPoolExecutor, self.passes_at_once))

    @classmethod
    @abstractmethod
    def load(
        cls,
        folder: str | Path,
        precision: str = "fp32",
        max_length: int | None = None,
        threads: int | None = None,
        length_configuration: Sequence[float] | None = None,
    ) -> Self:
        """The engine of a tier folder.

        Args: `max_length` tokens kept of an example, where the tier allows more; `threads` of one forward pass;
            `length_configuration` of a Dynamic-TinyBERT, None for the folder's own.

        Raises:
            UserError: a file is missing or damaged, or the tier has no such length configuration; names it.
        """

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.facts.label_names

    @property
    def max_length(self) -> int:
        """Tokens kept of an example, special ones included."""
        return self.encoder.max_length

    @property
    def key(self) -> str:
        """What a threshold belongs to, as in cascade.json."""
        return engine_key(self.name, self.precision, self.length_configuration)

    def scoring(self, span_score: str) -> Self:
        """This engine, its model shared, with the answers of a span tier found by another of `SPAN_SCORES`."""
        engine = copy.copy(self)
        engine.span_score = span_score
        return engine

    def padding(self) -> Self:
        """This engine, its model shared, padding each example to `max_length` in every call."""
        engine = copy.copy(self)
        engine.pads = True
        return engine

    def outputs(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        batch_size: int = 1,
        pad_to_max: bool = False,
    ) -> np.ndarray:
        """Logits (n, classes), float32, in the order of the texts and of this tier's own `label_names`.

        Of a span tier: (n, 3), the answer's first character in the context, the one behind its last, its probability.

        Args:
            texts: n texts. pairs: their n second texts.
            batch_size: examples, or windows of them, per forward pass; 1 runs one after the other, as they would come.
            pad_to_max: pad every example to `max_length` (the paper's protocol) instead of to the longest in its batch.
                A tier that runs batches of one length has nothing to pad.
        """
        outputs = np.empty((len(texts), self.facts.outputs), np.float32)
        for rows, batch_outputs in self.batches(texts, pairs, batch_size, pad_to_max):
            outputs[rows] = batch_outputs
        return outputs

    def batches(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        batch_size: int = 1,
        pad_to_max: bool = False,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (rows (b,), outputs (b, k)) as the batches are done: similar lengths together, each row once."""
        if self.facts.kind == "spans":
            yield from self.run(self.encoder.encode(texts, pairs), batch_size, pad_to_max)
        elif (batch_size == 1 or len(texts) == 1) and not self._pads(pad_to_max):
            for row, text in enumerate(texts):
                inputs = self.encoder.encode_one(text, None if pairs is None else pairs[row])
                yield np.array([row]), self._forward(inputs)
        else:
            yield from self.run(self.encoder.encode(texts, pairs), batch_size, pad_to_max)

    def run(
        self, tokens: TokenizedTexts | Windows, batch_size: int, pad_to_max: bool = False
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As `batches`, of texts that this tier's encoder has tokenised already; spans come all at once."""
        if isinstance(tokens, Windows):
            yield np.arange(tokens.examples), self._spans(tokens, batch_size, pad_to_max)
        else:
            yield from self._passes(tokens, batch_size, pad_to_max)

    def _spans(self, windows: Windows, batch_size: int, pad_to_max: bool) -> np.ndarray:
        """(n, 3) first character, the one behind the last, and probability of each example's answer.

        All nan where the model gave a logit of its tokens that is not finite.
        """
        score = SPAN_SCORES[self.span_score]
        first, last = np.empty((2, len(windows), *score.shape), np.int64)
        value = np.empty((len(windows), *score.shape))
        broken = np.zeros(len(windows), bool)
        for rows, (start, end) in self._passes(windows.tokens, batch_size, pad_to_max):
            real = np.arange(start.shape[1]) < windows.lengths[rows, None]
            inside = windows.in_context(rows, start.shape[1])
            wrong = ~(np.isfinite(start) & np.isfinite(end) | ~real).all(axis=1)
            if wrong.any():
                start, end = np.where(wrong[:, None], 0, [start, end])
            broken[rows] = wrong
            first[rows], last[rows], value[rows] = score.of_windows(start, end, real, inside)
        answers = score.of_examples(windows, first, last, value)
        outputs = np.stack([answers.start, answers.end, answers.confidence], axis=1).astype(np.float32)
        outputs[windows.example[broken]] = np.nan  # of one window: the answer may have lain there
        return outputs

    def _passes(
        self, tokens: TokenizedTexts, batch_size: int, pad_to_max: bool
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (rows (b,), what the model gives for them)."""
        pad_to = self.max_length if self._pads(pad_to_max) else None
        plan = length_batches(tokens.lengths, batch_size, self.facts.exact_length)
        passes = (lambda rows=rows: self._forward(tokens.batch(rows, pad_to)) for rows in plan)
        one_by_one = batch_size == 1 or self.passes_at_once == 1
        yield from zip(plan, (run() for run in passes) if one_by_one else self._side_by_side(passes), strict=True)

    def lengths(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Tokens (n,) that the model gets of each example, in all its windows."""
        tokens = self.encoder.encode(texts, pairs)
        if isinstance(tokens, Windows):
            return np.bincount(tokens.example, tokens.lengths).astype(np.int64)
        return tokens.lengths

    def cut(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> dict[str, float] | None:
        """Shares of texts and tokens that `max_length` takes away; None of a span tier, whose windows hold it all."""
        return None if self.facts.kind == "spans" else self.encoder.cut(texts, pairs)

    def _side_by_side(self, passes: Iterator[Callable[[], np.ndarray]]) -> Iterator[np.ndarray]:
        """Results in order, while a few passes more are under way."""
        waiting: deque[Future] = deque()
        pool = self._pool.get()
        for run in passes:
            waiting.append(pool.submit(run))
            if len(waiting) > 2 * self.passes_at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _pads(self, pad_to_max: bool) -> bool:
        return (pad_to_max or self.pads) and not self.facts.exact_length

    @abstractmethod
    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """What the model gives for `input_ids`, `attention_mask` and `token_type_ids`, (batch, length) int64 each.

        Float32 logits (batch, classes), or of a span's first and last token (2, batch, length).
        """


def label_columns(engine: Engine, label_names: Sequence[str]) -> np.ndarray:
    """Columns (classes,) of the engine's logits that hold the given labels: compared by name, never by position.

    Raises:
        UserError: the engine knows other labels.
    """
    if set(engine.label_names) != set(label_names):
        raise UserError(
            f"{engine.facts.source} answers with the labels {', '.join(engine.label_names)}, but here they are "
            f"{', '.join(label_names)}. Both must hold the same names: correct id2label in its config.json."
        )
    return np.array([engine.label_names.index(name) for name in label_names])

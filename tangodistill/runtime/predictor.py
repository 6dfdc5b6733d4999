"""The cascade at work: the first tier answers, and defers to the second where its confidence is below the threshold."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tangodistill.latency.machine import cpu_model
from tangodistill.runtime.answer_queue import AnswerQueue, Chunk, Tier
from tangodistill.runtime.answers import Answers, Prediction, SpanPrediction, readout_of
from tangodistill.runtime.cascade_folder import CascadeRecord, read_cascade
from tangodistill.runtime.chunks import chunks, punctual_chunks
from tangodistill.runtime.engines import BATCH_DEPENDENT, Engine, recorded_engine
from tangodistill.user_error import UserError

Answer = Prediction | SpanPrediction
CHUNK_ROWS = 8192  # of an endless input, how many are tokenised and run at a time
HELD_ROWS = 4 * CHUNK_ROWS  # how many answers may wait for one that is deferred


class CascadePredictor:
    """Two engines behind one threshold.

    Args:
        engines: first and second tier.
        label_names: the cascade's labels; each tier must know the same ones, in whatever order. Without any, it
            answers questions by spans of their contexts.
        threshold: defer where confidence < threshold, compared in float32.
        batch_sizes: of each tier.
        text_columns: one name, or two where the examples are pairs of texts.
        score: confidence score of the first tier.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        label_names: Sequence[str],
        threshold: float,
        batch_sizes: Sequence[int] = (1, 1),
        text_columns: Sequence[str] = ("text",),
        score: str = "max_probability",
    ):
        self.label_names = tuple(label_names)
        self.threshold = threshold
        self.text_columns = tuple(text_columns)
        self.readout = readout_of(self.label_names, score)
        self.first, self.second = (
            Tier(engine, batch_size, self.readout.of(engine))
            for engine, batch_size in zip(engines, batch_sizes, strict=True)
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "CascadePredictor":
        """The cascade of a folder that holds cascade.json and its tiers.

        Raises:
            UserError: a file is missing or damaged, or the threshold was not chosen with the engines that would answer.
        """
        record = read_cascade(folder)
        threshold = _threshold_that_holds(record, folder)
        return cls(
            [recorded_engine(folder, tier) for tier in record.tiers],
            record.label_names,
            threshold,
            [tier.batch_size for tier in record.tiers],
            record.text_columns,
            record.score,
        )

    def predict(
        self, texts: str | tuple[str, str] | Iterable[str] | Iterable[tuple[str, str]], threshold: float | None = None
    ) -> Answer | list[Answer]:
        """One example gives one Prediction; several give a list in their order. Examples of pair tasks are tuples.

        Raises:
            UserError: a row that is no text, or no pair of texts where the cascade wants pairs; names the row.
        """
        if isinstance(texts, str) or (len(self.text_columns) == 2 and _is_pair(texts)):
            columns = self._columns([texts], first_row=0)
            answers = self.answer(*columns, threshold)
            tier, stands = int(answers.tier[0]), np.ones(1, bool)
            return self.readout.predictions(answers.outputs, tier, answers.confidence, stands, columns[1])[0]
        return list(self.predict_iter(texts, threshold))

    def predict_iter(
        self,
        rows: Iterable[str] | Iterable[tuple[str, str]],
        threshold: float | None = None,
        max_wait_ms: float | None = None,
    ) -> Iterator[Answer]:
        """Predictions of an input of any length, in its order, in constant memory.

        The next rows are drawn and tokenised while the engines run. What the first tier defers queues until it fills
        batches of the second tier's best size, over the bounds of chunks too; the rest runs at the end.

        Args:
            rows: texts, or pairs of texts.
            threshold: instead of the cascade's own.
            max_wait_ms: no row waits longer than this for others to be answered with, beside the time of the engines:
                for inputs that come slowly. None: the input is there to be read.
        """
        threshold = self._checked(threshold)
        drawn = (
            chunks(rows, CHUNK_ROWS) if max_wait_ms is None else punctual_chunks(rows, CHUNK_ROWS, max_wait_ms / 1000)
        )
        queue = AnswerQueue(self.first, self.second, self.readout, threshold)
        for chunk in self._tokenised_ahead(drawn):
            queue.add(chunk)
            queue.run_second(everything=max_wait_ms is not None or len(queue) > HELD_ROWS)
            yield from queue.release()
        queue.run_second(everything=True)
        yield from queue.release()

    def _tokenised_ahead(self, drawn: Iterator[list]) -> Iterator[Chunk]:
        """Each chunk checked and tokenised for the first tier, one ahead of the one that is used."""

        def prepare(first_row: int) -> Chunk | None:
            rows = next(drawn, None)
            if rows is None:
                return None
            texts, pairs = self._columns(rows, first_row)
            return Chunk(texts, pairs, self.first.engine.encoder.encode(texts, pairs))

        with ThreadPoolExecutor(1) as ahead:
            done, chunk = 0, ahead.submit(prepare, 0).result()
            while chunk is not None:
                done += len(chunk.texts)
                following = ahead.submit(prepare, done)
                yield chunk
                chunk = following.result()

    def answer(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        threshold: float | None = None,
        pad_to_max: bool = False,
    ) -> Answers:
        """The cascade on n examples: deferred ones queue for the second tier, which runs them in full batches and one
        partial one.

        The queue is run when the first tier is through, not as soon as a batch is full: the second tier can then put
        texts together that are of one length to *its* tokenizer. In the order in which the first tier defers them it
        ran 20 to 40 % more tokens, all padding (1,821 sentences of SST-2, batches of 8 to 32).

        Args:
            texts: n texts. pairs: their n second texts.
            threshold: instead of the cascade's own.
            pad_to_max: pad to each tier's maximum length (the paper's protocol).
        """
        started = time.perf_counter()
        threshold = self._checked(threshold)
        outputs = np.empty((len(texts), len(self.first.columns)), np.float32)
        answered_s = np.empty(len(texts))
        for rows, batch_outputs in self.first.engine.batches(texts, pairs, self.first.batch_size, pad_to_max):
            outputs[rows] = batch_outputs[:, self.first.columns]
            answered_s[rows] = time.perf_counter() - started
        confidence = self.readout.confidence(outputs)
        queue = np.flatnonzero(confidence < threshold)
        queued_texts = [texts[row] for row in queue]
        queued_pairs = None if pairs is None else [pairs[row] for row in queue]
        for waiting, batch_outputs in self.second.engine.batches(
            queued_texts, queued_pairs, self.second.batch_size, pad_to_max
        ):
            outputs[queue[waiting]] = batch_outputs[:, self.second.columns]
            answered_s[queue[waiting]] = time.perf_counter() - started
        return Answers(outputs, np.where(confidence < threshold, 2, 1).astype(np.int8), confidence, answered_s)

    def _checked(self, threshold: float | None) -> np.float32:
        threshold = np.float32(self.threshold if threshold is None else threshold)
        if np.isnan(threshold):
            raise UserError("threshold is not a number; give one between 0 (never defer) and 1.1 (always defer).")
        return threshold

    def _columns(self, rows: list, first_row: int) -> tuple[list[str], list[str] | None]:
        """Texts and second texts of checked rows."""
        is_pair_task = len(self.text_columns) == 2
        for number, row in enumerate(rows, start=first_row):
            if not (_is_pair(row) if is_pair_task else isinstance(row, str)):
                wanted = f"a pair of strings ({', '.join(self.text_columns)})" if is_pair_task else "a string"
                raise UserError(f"row {number}: expected {wanted}, found {_shorten(row)}.")
        if is_pair_task:
            return [row[0] for row in rows], [row[1] for row in rows]
        return rows, None


def _threshold_that_holds(record: CascadeRecord, folder: str | Path) -> float:
    """The threshold, where it was chosen with the engines that are to answer, on this CPU where that matters."""
    if len(record.tiers) != 2:
        raise UserError(f"{folder}: cascade.json names {len(record.tiers)} tiers; a cascade has 2.")
    gate = record.tiers[0]
    if gate.precision in BATCH_DEPENDENT:
        raise UserError(
            f"{folder}: the first tier's answers in {gate.precision} depend on their batch, so no threshold holds. "
            "Run `python -m tangodistill tune` on the folder."
        )
    threshold = record.threshold_for(gate.key)
    if record.calibrated_with not in ([], record.keys):  # `tune` has changed an engine since
        raise UserError(
            f"{folder}: its threshold was chosen with {' and '.join(record.calibrated_with)}, and it runs on "
            f"{' and '.join(record.keys)} now. Run `python -m tangodistill choose` on the folder."
        )
    if gate.precision != "fp32" and record.cpu != cpu_model():  # lower precisions differ between CPUs
        raise UserError(
            f"{folder}: its threshold was chosen in {gate.precision} on {record.cpu}; this is {cpu_model()}. "
            "Run `python -m tangodistill tune` and `choose` on the folder here."
        )
    return threshold


def _is_pair(row: object) -> bool:
    return isinstance(row, tuple | list) and len(row) == 2 and all(isinstance(text, str) for text in row)


def _shorten(row: object) -> str:
    text = f"{type(row).__name__} {row!r}" if row is not None else "None"
    return text if len(text) <= 60 else text[:57] + "..."

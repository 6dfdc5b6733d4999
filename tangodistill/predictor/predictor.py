"""The cascade at work: the first tier answers, and defers to the second where its confidence is below the threshold."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tangodistill.data.chunks import chunks
from tangodistill.engines.engine import Engine
from tangodistill.engines.loading import recorded_engine
from tangodistill.predictor.answer_queue import AnswerQueue, Chunk, Tier
from tangodistill.predictor.answers import Answers, Prediction, SpanPrediction, check_finite, readout_of
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.predictor.here import threshold_that_holds
from tangodistill.predictor.input_rows import checked, is_pair, rows_of
from tangodistill.predictor.slow_rows import punctual_chunks
from tangodistill.user_error import UserError

Answer = Prediction | SpanPrediction
CHUNK_ROWS = 8192  # of an endless input, how many are drawn and run at a time
CHUNK_CHARACTERS = 4_000_000  # or fewer rows, where those hold as many
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
        score: confidence score of the first tier: `max_probability`, `margin` or `entropy` of labels, `max_probability`
            or `n_best` of spans, where it is how both tiers find their answers.

    Raises:
        UserError: no such score, or a tier that answers something else.
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
            Tier(*self.readout.of(engine), batch_size) for engine, batch_size in zip(engines, batch_sizes, strict=True)
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "CascadePredictor":
        """The cascade of a folder that holds cascade.json and its tiers.

        Raises:
            UserError: a file is missing or damaged, or the threshold was not chosen with the engines that would answer.
        """
        record = read_cascade(folder)
        threshold = threshold_that_holds(folder, record)
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

        Several are a list, a column (a Series, an array of strings, Arrow's), or whatever else gives one after the
        other. A text without anything to read in it is answered, and the answer's `blank` says so.

        Raises:
            UserError: it is a table or nothing of texts; a row is no text, or no pair of texts where the cascade wants
                pairs, or a tier gave no finite number for it; names the row.
        """
        if isinstance(texts, str) or (len(self.text_columns) == 2 and is_pair(texts)):
            chunk, _ = self._checked_rows([texts], 0, strict=True)
            answers = self.answer(chunk.texts, chunk.pairs, threshold)
            tier = int(answers.tier[0])
            return self.readout.predictions(answers.outputs, tier, answers.confidence, chunk.texts, chunk.pairs)[0]
        answers = []
        drawn = chunks(rows_of(texts, self.text_columns), CHUNK_ROWS, CHUNK_CHARACTERS)
        for answer in self._stream(drawn, self._checked(threshold), strict=True):
            if answer.error is not None:
                raise UserError(answer.error)
            answers.append(answer)
        return answers

    def predict_iter(
        self,
        rows: Iterable[str] | Iterable[tuple[str, str]],
        threshold: float | None = None,
        max_wait_ms: float | None = None,
    ) -> Iterator[Answer]:
        """Predictions of an input of any length, in its order, in constant memory.

        A row that can't be answered, since it is no text or a tier gave no finite number for it, has the reason in its
        prediction's `error`, and the others are answered.

        What the first tier defers queues until it fills batches of the second tier's best size, over the bounds of
        chunks too; the rest runs at the end. Rows are drawn in the caller's own thread, a chunk at a time, and the next
        chunk only when this one's answers have been taken.

        Args:
            rows: texts, or pairs of texts.
            threshold: instead of the cascade's own.
            max_wait_ms: no row waits longer than this for others to be answered with, beside the time of the engines:
                for inputs that come slowly. Then, and only then, `rows` are drawn in another thread: what must stay in
                the thread that made it (a connection of sqlite3) can't be drawn from so. None: the input is there to
                be read.

        Raises:
            UserError: `rows` is no column of texts, but a table or a single value.
        """
        found, threshold = rows_of(rows, self.text_columns), self._checked(threshold)
        if max_wait_ms is None:
            return self._stream(chunks(found, CHUNK_ROWS, CHUNK_CHARACTERS), threshold)
        drawn = punctual_chunks(found, CHUNK_ROWS, CHUNK_CHARACTERS, max_wait_ms / 1000)
        return self._stream(drawn, threshold, at_once=True)

    def _stream(
        self, drawn: Iterator[list], threshold: np.float32, at_once: bool = False, strict: bool = False
    ) -> Iterator[Answer]:
        """Answers to chunks of rows; `at_once` lets none wait for the next chunk, `strict` raises what is no text."""
        queue, done = AnswerQueue(self.first, self.second, self.readout, threshold), 0
        for rows in drawn:
            queue.add(*self._checked_rows(rows, done, strict))
            done += len(rows)
            queue.run_second(everything=at_once or len(queue) > HELD_ROWS)
            yield from queue.release()
        queue.run_second(everything=True)
        yield from queue.release()

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

        Raises:
            UserError: a tier gave no finite number for a row; names both.
        """
        started = time.perf_counter()
        threshold = self._checked(threshold)
        outputs = np.empty((len(texts), len(self.first.columns)), np.float32)
        answered_s = np.empty(len(texts))
        for rows, batch_outputs in self.first.engine.batches(texts, pairs, self.first.batch_size, pad_to_max):
            outputs[rows] = batch_outputs[:, self.first.columns]
            answered_s[rows] = time.perf_counter() - started
        check_finite(outputs, 1)
        confidence = self.readout.confidence(outputs)
        deferred = confidence < threshold
        queue = np.flatnonzero(deferred)
        queued_texts = [texts[row] for row in queue]
        queued_pairs = None if pairs is None else [pairs[row] for row in queue]
        for waiting, batch_outputs in self.second.engine.batches(
            queued_texts, queued_pairs, self.second.batch_size, pad_to_max
        ):
            outputs[queue[waiting]] = batch_outputs[:, self.second.columns]
            answered_s[queue[waiting]] = time.perf_counter() - started
        check_finite(outputs[queue], 2, queue)
        return Answers(outputs, np.where(deferred, 2, 1).astype(np.int8), confidence, answered_s)

    def _checked(self, threshold: float | None) -> np.float32:
        threshold = np.float32(self.threshold if threshold is None else threshold)
        if np.isnan(threshold):
            raise UserError("threshold is not a number; give one between 0 (never defer) and 1.1 (always defer).")
        return threshold

    def _checked_rows(self, rows: list, first_row: int, strict: bool) -> tuple[Chunk, dict[int, str]]:
        """Those that are texts, and what is wrong with the others, which is raised where `strict`."""
        right, wrong = checked(rows, self.text_columns, first_row)
        if strict and wrong:
            raise UserError(next(iter(wrong.values())))
        if len(self.text_columns) == 2:
            texts, pairs = ([row[side] for row in right.values()] for side in (0, 1))
            return Chunk(list(right), texts, pairs), wrong
        return Chunk(list(right), list(right.values()), None), wrong

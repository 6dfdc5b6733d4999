"""The cascade at work: each tier answers, and defers to the next where its confidence is below its threshold."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tangodistill.data.chunks import chunks
from tangodistill.engines.engine import Engine
from tangodistill.engines.loading import recorded_engine
from tangodistill.predictor.answers import Prediction, SpanPrediction, readout_of
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.predictor.deferral_queue import Chunk, DeferralQueue, Tier
from tangodistill.predictor.here import thresholds_that_hold
from tangodistill.predictor.input_rows import checked, is_pair, rows_of
from tangodistill.predictor.slow_rows import punctual_chunks
from tangodistill.user_error import UserError

Answer = Prediction | SpanPrediction
Thresholds = float | Sequence[float]
"""Of each tier but the last; a number where there is one."""
CHUNK_ROWS = 8192  # of an endless input, how many are drawn and run at a time
CHUNK_CHARACTERS = 4_000_000  # or fewer rows, where those hold as many
HELD_ROWS = 4 * CHUNK_ROWS  # how many answers may wait for one that is deferred


class CascadePredictor:
    """K engines, cheapest first, and a threshold between each and the next.

    Args:
        engines: of the tiers.
        label_names: the cascade's labels; each tier must know the same ones, in whatever order. Without any, it
            answers questions by spans of their contexts.
        thresholds: K - 1 of them: a tier defers where its confidence is below, compared in float32.
        batch_sizes: of each tier; None: 1.
        text_columns: one name, or two where the examples are pairs of texts.
        score: confidence score of the tiers that defer: `max_probability`, `margin` or `entropy` of labels,
            `max_probability` or `n_best` of spans, where it is how all tiers find their answers.
        numbers: what the tiers are called in answers; None: 1 to K.

    Raises:
        UserError: no such score, a tier that answers something else, or another number of thresholds.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        label_names: Sequence[str],
        thresholds: Thresholds,
        batch_sizes: Sequence[int] | None = None,
        text_columns: Sequence[str] = ("text",),
        score: str = "max_probability",
        numbers: Sequence[int] | None = None,
    ):
        self.label_names = tuple(label_names)
        self.text_columns = tuple(text_columns)
        self.readout = readout_of(self.label_names, score)
        sizes, numbers = batch_sizes or [1] * len(engines), numbers or range(1, len(engines) + 1)
        self.tiers = [
            Tier(*self.readout.of(engine), size, number)
            for engine, size, number in zip(engines, sizes, numbers, strict=True)
        ]
        self.thresholds = self._checked(thresholds)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "CascadePredictor":
        """The cascade of a folder that holds cascade.json and its tiers; one that it leaves out is not loaded.

        Raises:
            UserError: a file is missing or damaged, or the thresholds were not chosen with the engines that would
                answer.
        """
        record = read_cascade(folder)
        thresholds = thresholds_that_hold(folder, record)
        used = [place for place, threshold in enumerate([*thresholds, 0.0]) if threshold is not None]
        tiers = [record.tiers[place] for place in used]
        return cls(
            [recorded_engine(folder, tier) for tier in tiers],
            record.label_names,
            [threshold for threshold in thresholds if threshold is not None],
            [tier.batch_size for tier in tiers],
            record.text_columns,
            record.score,
            [place + 1 for place in used],
        )

    def predict(
        self,
        texts: str | tuple[str, str] | Iterable[str] | Iterable[tuple[str, str]],
        thresholds: Thresholds | None = None,
    ) -> Answer | list[Answer]:
        """One example gives one Prediction; several give a list in their order. Examples of pair tasks are tuples.

        Several are a list, a column (a Series, an array of strings, Arrow's), or whatever else gives one after the
        other. A text without anything to read in it is answered, and the answer's `blank` says so.

        Raises:
            UserError: it is a table or nothing of texts; a row is no text, or no pair of texts where the cascade wants
                pairs, or a tier gave no finite number for it; names the row.
        """
        if isinstance(texts, str) or (len(self.text_columns) == 2 and is_pair(texts)):
            return self._all(iter([[texts]]), thresholds)[0]
        return self._all(chunks(rows_of(texts, self.text_columns), CHUNK_ROWS, CHUNK_CHARACTERS), thresholds)

    def _all(self, drawn: Iterator[list], thresholds: Thresholds | None) -> list[Answer]:
        answers = []
        for answer in self._stream(drawn, self._checked(thresholds), strict=True):
            if answer.error is not None:
                raise UserError(answer.error)
            answers.append(answer)
        return answers

    def predict_iter(
        self,
        rows: Iterable[str] | Iterable[tuple[str, str]],
        thresholds: Thresholds | None = None,
        max_wait_ms: float | None = None,
    ) -> Iterator[Answer]:
        """Predictions of an input of any length, in its order, in constant memory.

        A row that can't be answered, since it is no text or a tier gave no finite number for it, has the reason in its
        prediction's `error`, and the others are answered.

        What a tier defers queues until it fills batches of the next tier's best size, over the bounds of chunks too;
        the rest runs at the end. Rows are drawn in the caller's own thread, a chunk at a time, and the next chunk only
        when this one's answers have been taken.

        Args:
            rows: texts, or pairs of texts.
            thresholds: instead of the cascade's own.
            max_wait_ms: no row waits longer than this for others to be answered with, beside the time of the engines:
                for inputs that come slowly. Then, and only then, `rows` are drawn in another thread: what must stay in
                the thread that made it (a connection of sqlite3) can't be drawn from so. None: the input is there to
                be read.

        Raises:
            UserError: `rows` is no column of texts, but a table or a single value.
        """
        found, thresholds = rows_of(rows, self.text_columns), self._checked(thresholds)
        if max_wait_ms is None:
            return self._stream(chunks(found, CHUNK_ROWS, CHUNK_CHARACTERS), thresholds)
        drawn = punctual_chunks(found, CHUNK_ROWS, CHUNK_CHARACTERS, max_wait_ms / 1000)
        return self._stream(drawn, thresholds, at_once=True)

    def _stream(
        self, drawn: Iterator[list], thresholds: np.ndarray, at_once: bool = False, strict: bool = False
    ) -> Iterator[Answer]:
        """Answers to chunks of rows; `at_once` lets none wait for the next chunk, `strict` raises what is no text."""
        queue, done = DeferralQueue(self.tiers, self.readout, thresholds), 0
        for rows in drawn:
            queue.add(*self._checked_rows(rows, done, strict))
            done += len(rows)
            queue.run(everything=at_once or len(queue) > HELD_ROWS)
            yield from queue.release()
        queue.run(everything=True)
        yield from queue.release()

    def _checked(self, thresholds: Thresholds | None) -> np.ndarray:
        """(K - 1,) float32."""
        if thresholds is None:
            return self.thresholds
        found = np.atleast_1d(np.asarray(thresholds, np.float32))
        wanted = len(self.tiers) - 1
        if found.shape != (wanted,):
            raise UserError(
                f"A cascade of {len(self.tiers)} tiers has {wanted} threshold{'' if wanted == 1 else 's'}, one of each "
                f"tier but the last; given: {found.size}."
            )
        if np.isnan(found).any():
            raise UserError("A threshold is not a number; give one between 0 (never defer) and 1.1 (always defer).")
        return found

    def _checked_rows(self, rows: list, first_row: int, strict: bool) -> tuple[Chunk, dict[int, str]]:
        """Those that are texts, and what is wrong with the others, which is raised where `strict`."""
        right, wrong = checked(rows, self.text_columns, first_row)
        if strict and wrong:
            raise UserError(next(iter(wrong.values())))
        if len(self.text_columns) == 2:
            texts, pairs = ([row[side] for row in right.values()] for side in (0, 1))
            return Chunk(list(right), texts, pairs), wrong
        return Chunk(list(right), list(right.values()), None), wrong

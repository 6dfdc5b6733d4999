"""One example at a time through an engine, as what runs beside a cascade's tiers is timed among their passes."""

import numpy as np

from tangodistill.engines.engine import Engine
from tangodistill.latency.sample import TimedSample
from tangodistill.measure.role_answers import RoleAnswers
from tangodistill.progress import track

SCORING_BATCH = 32
CHUNK_ROWS = 1000  # between two steps of progress


class OneByOne:
    """An engine's answers to the report examples.

    Args:
        sample: which of them are timed.
        padded: pad every example to the task's length.
    """

    def __init__(self, engine: Engine, report: RoleAnswers, sample: TimedSample, padded: bool):
        self.engine, self.report, self.sample, self.padded = engine, report, sample, padded
        self._outputs = np.empty((len(report), engine.facts.outputs), np.float32)

    def run(self, i: int) -> None:
        """The i-th of the timed examples, from its raw text on."""
        row = self.sample.rows[i]
        self._outputs[row] = self.engine.outputs(*self.report.part([row]), pad_to_max=self.padded)[0]

    def outputs(self) -> np.ndarray:
        """(n, k) in the engine's own order, once the timed examples were run; the others are run now."""
        rest = np.flatnonzero(~self.sample.timed)
        chunks = np.array_split(rest, -(-len(rest) // CHUNK_ROWS)) if len(rest) else []
        for rows in track(chunks, "score the texts that aren't timed"):
            self._outputs[rows] = self.engine.outputs(*self.report.part(rows), SCORING_BATCH, self.padded)
        return self._outputs

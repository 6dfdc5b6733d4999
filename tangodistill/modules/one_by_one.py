"""One example at a time through an engine, as what runs beside a cascade's tiers is timed among their passes."""

import numpy as np

from tangodistill.modules.role_answers import RoleAnswers
from tangodistill.runtime.engines import Engine


class OneByOne:
    """An engine's answers to the report examples.

    Args:
        padded: pad every example to the task's length.
    """

    def __init__(self, engine: Engine, report: RoleAnswers, padded: bool):
        self.engine, self.report, self.padded = engine, report, padded
        self.outputs = np.empty((len(report), engine.facts.outputs), np.float32)
        """(n, k) in the engine's own order, of the examples that were run."""

    def run(self, i: int) -> None:
        """The example with this index, from its raw text on."""
        self.outputs[i] = self.engine.outputs(*self.report.part([i]), pad_to_max=self.padded)[0]

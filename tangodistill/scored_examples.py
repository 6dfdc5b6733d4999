"""Examples with their right answers: what an engine's outputs for them are worth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from tangodistill.data.splits import Roles
from tangodistill.metrics import score
from tangodistill.runtime.answers import Readout, readout_of
from tangodistill.runtime.cascade_folder import CascadeRecord
from tangodistill.runtime.engines import Engine


@dataclass
class ScoredExamples:
    """n examples of one role, labelled or answered by spans of their contexts."""

    label_names: tuple[str, ...]
    """Empty where answers are spans."""
    metric: str
    texts: list[str]
    pairs: list[str] | None
    wanted: Sequence[Any]
    """(n,) label ids; of spans the gold answers."""

    @classmethod
    def of_role(cls, roles: Roles, role: str) -> Self:
        """All of a role such as ``selection``, by the task's own metric."""
        rows, task = getattr(roles, role), roles.task
        pairs = list(rows["text_pair"]) if task.is_pair else None
        wanted = rows["answers" if task.kind == "spans" else "label"][:]
        return cls(tuple(task.label_names), task.metric, list(rows["text"]), pairs, wanted)

    @property
    def readout(self) -> Readout:
        return readout_of(self.label_names, CascadeRecord.score)

    def outputs(self, engine: Engine, batch_size: int = 32) -> np.ndarray:
        """(n, k) float32: logits in the order of `label_names`, or spans."""
        return engine.outputs(self.texts, self.pairs, batch_size)[:, self.readout.of(engine)]

    def score(self, outputs: np.ndarray) -> float:
        """The metric of somebody's outputs (n, k)."""
        if not self.label_names:
            return float(self.readout.columns(1, outputs, self.pairs, self.wanted)[f"tier1_{self.metric}"].mean())
        return score(self.metric, np.array(self.wanted), outputs.argmax(axis=1), len(self.label_names))

    def select(self, rows: np.ndarray) -> Self:
        """Those of the given indices."""
        texts, pairs = [self.texts[i] for i in rows], [self.pairs[i] for i in rows] if self.pairs else None
        return replace(self, texts=texts, pairs=pairs, wanted=[self.wanted[i] for i in rows])

    def part(self, count: int) -> Self:
        """At most `count` of them, spread evenly."""
        return self.select(np.unique(np.linspace(0, len(self.texts) - 1, count).astype(int)))

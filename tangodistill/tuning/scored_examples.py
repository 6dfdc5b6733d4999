"""Examples with their right answers: what an engine's outputs for them are worth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from datasets import Dataset

from tangodistill.cascade.outcomes import Outcomes, outcomes_of
from tangodistill.data.splits import Roles
from tangodistill.engines.engine import Engine
from tangodistill.metrics import metric_title, positive_id
from tangodistill.predictor.answers import Readout, readout_of
from tangodistill.predictor.cascade_folder import CascadeRecord


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
    score_name: str = CascadeRecord.score
    """Of the confidence."""
    positive: str | None = None
    """The class of two that F1 is of; None: the second."""

    @classmethod
    def of_role(cls, roles: Roles, role: str) -> Self:
        """All of a role such as ``selection``, by the task's own metric."""
        task = roles.task
        return cls(task.label_names, task.metric, [], None, [], positive=task.positive).on(getattr(roles, role))

    def on(self, rows: Dataset) -> Self:
        """The examples of another role instead."""
        pairs = list(rows["text_pair"]) if "text_pair" in rows.column_names else None
        wanted = rows["label" if self.label_names else "answers"][:]
        return replace(self, texts=list(rows["text"]), pairs=pairs, wanted=wanted)

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each: text, (text_pair,) and label, or the gold answers."""
        sides = {"text": self.texts, **({"text_pair": self.pairs} if self.pairs else {})}
        return pd.DataFrame({**sides, "label" if self.label_names else "gold": self.wanted})

    @property
    def readout(self) -> Readout:
        return readout_of(self.label_names, self.score_name)

    def outputs(self, engine: Engine, batch_size: int = 32) -> np.ndarray:
        """(n, k) float32: logits in the order of `label_names`, or spans."""
        engine, columns = self.readout.of(engine)
        return engine.outputs(self.texts, self.pairs, batch_size)[:, columns]

    def outcomes(self, *outputs: np.ndarray) -> Outcomes:
        """Of each tier's outputs (n, k)."""
        table = {"label" if self.label_names else "gold": self.wanted}
        for tier, own in enumerate(outputs, 1):
            table |= self.readout.columns(tier, own, self.pairs, self.wanted)
        return outcomes_of(table, positive_id(self.label_names, self.positive))

    @property
    def metric_title(self) -> str:
        """What its metric is called wherever somebody reads it."""
        return metric_title(self.metric, self.label_names, self.positive)

    def score(self, outputs: np.ndarray) -> float:
        """The metric of somebody's outputs (n, k)."""
        return self.outcomes(outputs).tier_score(1, self.metric)

    def select(self, rows: np.ndarray) -> Self:
        """Those of the given indices."""
        texts, pairs = [self.texts[i] for i in rows], [self.pairs[i] for i in rows] if self.pairs else None
        return replace(self, texts=texts, pairs=pairs, wanted=[self.wanted[i] for i in rows])

    def part(self, count: int) -> Self:
        """At most `count` of them, spread evenly."""
        return self.select(np.unique(np.linspace(0, len(self.texts) - 1, count).astype(int)))

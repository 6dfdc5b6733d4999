"""A Dynamic-TinyBERT beside the cascade: its length configurations timed among the tiers' own passes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tangodistill.cascade.speedup import point_keeping
from tangodistill.cascade.summary import speedups_kept
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.latency.sample import TimedSample
from tangodistill.measure.one_by_one import OneByOne
from tangodistill.measure.role_answers import RoleAnswers
from tangodistill.models.dynamic_tinybert import DynamicTinyBertConfig
from tangodistill.models.length_configuration import Lengths, checked
from tangodistill.predictor.answers import Readout
from tangodistill.tasks import Task
from tangodistill.tuning.length_front import read_front
from tangodistill.user_error import UserError

MOST = 8  # configurations: each costs passes over all report examples


@dataclass(frozen=True)
class SearchedLengths:
    """A Dynamic-TinyBERT, and configurations that a search found worth having."""

    engine: TorchEngine
    columns: np.ndarray
    """(k,) of its outputs, in the task's order."""
    configurations: list[Lengths]
    """By rising time as the search saw it; the last is the full network."""


def load_searched(folder: str | None, task: Task, readout: Readout) -> SearchedLengths | None:
    """The model that a search was of, and up to `MOST` configurations spread over its front; None for no folder.

    Raises:
        UserError: no search, or no Dynamic-TinyBERT that answers as the task asks.
    """
    if folder is None:
        return None
    front = read_front(folder)
    if not Path(front.model).is_dir():
        raise UserError(
            f"{folder} is a search of the model {front.model}, which is not there. Put it back, or search anew."
        )
    engine = TorchEngine.load(front.model, max_length=task.max_length)
    config = engine.model.config
    if not isinstance(config, DynamicTinyBertConfig):
        raise UserError(
            f"{folder} is a search of {front.model}, now a {config.model_type}, which keeps all tokens. Search anew."
        )
    front.refuse_another(front.model)
    layers = config.num_hidden_layers
    faster = [checked(lengths, layers) for lengths in front.spread(MOST - 1)]
    return SearchedLengths(*readout.of(engine), [*faster, (1.0,) * layers])


class LengthsMeasurement:
    """What each length configuration gains and costs on the report role, without any tier to defer to.

    Args:
        sample: which of the report examples are timed.
        metric: the task's.
        padded: pad every example to the task's length.
    """

    def __init__(self, searched: SearchedLengths, report: RoleAnswers, sample: TimedSample, metric: str, padded: bool):
        self.searched, self.report, self.metric = searched, report, metric
        self._answers = {
            lengths: OneByOne(searched.engine, report, sample, padded) for lengths in searched.configurations[::-1]
        }

    @property
    def runs(self) -> dict[str, Callable[[int], None]]:
        """By name, what is to be timed among the tiers' passes: calls that take a timed example's place."""
        return {str(lengths): lambda i, own=lengths: self._run(own, i) for lengths in self._answers}

    def _run(self, lengths: Lengths, i: int) -> None:
        self._shorten(lengths)
        self._answers[lengths].run(i)

    def _shorten(self, lengths: Lengths) -> None:
        self.searched.engine.model.config.length_configuration = list(lengths)

    def finish(
        self, folder: Path, seconds: Mapping[str, np.ndarray], second_s: np.ndarray, second_metric: float
    ) -> dict[str, Any]:
        """After the passes: write dynamic_tinybert.parquet, from the full network down, and the examples behind it.

        Returns: what they come to.

        Args:
            seconds: by the names of `runs`, (n,) of the report examples, one at a time.
            second_s: likewise, through the second tier.
            second_metric: the task's metric of the second tier on the report role.
        """
        facts, outputs = self.searched.engine.facts, self._outputs()
        scores = [self.report.scores(each) for each in outputs]
        examples_s = np.stack([seconds[name] for name in self.runs], axis=1)
        time_s, second_only_s = examples_s.sum(axis=0), float(second_s.sum())
        points = {
            "kind": np.repeat("dynamic_tinybert", len(time_s)),
            "lengths": [list(lengths) for lengths in self._answers],
            **{name: np.array([each[name] for each in scores]) for name in scores[0]},
            "time_s": time_s,
            "throughput_per_s": len(self.report) / time_s,
            "speedup": second_only_s / time_s,
        }
        pd.DataFrame(points).to_parquet(folder / "dynamic_tinybert.parquet", index=False)
        marks = pd.DataFrame([self.report.marks(each) for each in outputs])
        examples = {
            "example_id": self.report.example_ids,
            **{name: list(np.stack(columns, axis=1)) for name, columns in marks.items()},
            "seconds": list(examples_s),
            "second_s": second_s,
        }
        pd.DataFrame(examples).to_parquet(folder / "dynamic_tinybert_examples.parquet", index=False)
        row = point_keeping(points, 0.99, self.metric, second_metric)
        return {
            "name": Path(facts.source).name,
            "parameters": facts.parameters,
            "engine": self.searched.engine.key,
            "second_only_s": second_only_s,
            **speedups_kept(points, self.metric, second_metric),
            "point_at_99": None if row is None else self._point(points, row),
        }

    def _outputs(self) -> list[np.ndarray]:
        """Each configuration's outputs (n, k), in the task's order."""
        found = []
        for lengths, answers in self._answers.items():
            self._shorten(lengths)
            found.append(answers.outputs()[:, self.searched.columns])
        return found

    def _point(self, points: Mapping[str, Any], row: int) -> dict[str, Any]:
        names = {"metric_value": self.metric, "speedup": "speedup", "throughput_per_s": "throughput_per_s"}
        numbers = {name: float(points[column][row]) for name, column in names.items()}
        return {"lengths": points["lengths"][row], **numbers, "measured_s": float(points["time_s"][row])}

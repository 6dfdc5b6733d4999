"""DeeBERT beside the cascade: every exit timed among the tiers' own passes, swept, and points of it run for real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tangodistill.cascade.exits import exit_points
from tangodistill.cascade.speedup import point_keeping
from tangodistill.cascade.summary import FRACTIONS, speedups_kept
from tangodistill.latency.batch_size import find_batch_sizes
from tangodistill.latency.timer import time_interleaved
from tangodistill.metrics import positive_last
from tangodistill.modules.role_answers import LabelAnswers
from tangodistill.runtime.early_exit import EarlyExitEngine
from tangodistill.runtime.engines import Engine, label_columns
from tangodistill.tasks import Task
from tangodistill.user_error import UserError

SEARCH_S = 30.0  # for the best batch size of one threshold


def load_early_exit(folder: str | None, task: Task) -> EarlyExitEngine | None:
    """The engine of a DeeBERT folder, None for none.

    Raises:
        UserError: no DeeBERT model, one with other labels, or a task without labels.
    """
    if folder is None:
        return None
    if task.kind == "spans":
        raise UserError(
            f"model.early_exit {folder}: DeeBERT leaves early with a label, but {task.name} asks for a span. "
            "Leave it out; a Dynamic-TinyBERT (model.dynamic) can stand beside a cascade of spans."
        )
    engine = EarlyExitEngine.load(folder, max_length=task.max_length)
    label_columns(engine, task.label_names)
    return engine


class EarlyExitMeasurement:
    """What a DeeBERT model gains and costs on the report role, beside the second tier on the same engine.

    Args:
        engine: the DeeBERT model.
        second: the second tier by PyTorch in fp32, as DeeBERT runs.
        repeats: timed passes, which `batch1_times` interleaves with the tiers'.
        padded: pad every example to the task's length.
    """

    def __init__(
        self,
        engine: EarlyExitEngine,
        second: Engine,
        report: LabelAnswers,
        task: Task,
        repeats: int,
        padded: bool,
    ):
        self.engine, self.second = engine, second
        self.report, self.task, self.repeats, self.padded = report, task, repeats, padded
        self.columns = label_columns(self.engine, task.label_names)
        n, exits = len(report), self.engine.exits
        self.logits = np.empty((n, exits, len(self.columns)), np.float32)
        self.entropies = np.empty((n, exits - 1), np.float32)
        self._passes_s: list[list[np.ndarray]] = [[] for _ in range(n)]

    @property
    def runs(self) -> dict[str, Callable[[int], None]]:
        """By name, what is to be timed among the tiers' passes: calls that take an example's index."""
        return {"early exit": self.run}

    def run(self, i: int) -> None:
        """One example through every exit, and what was seen on the way."""
        pair = self.report.pairs[i] if self.report.pairs else None
        logits, self.entropies[i], seconds = self.engine.every_exit(self.report.texts[i], pair, self.padded)
        self.logits[i] = logits[:, self.columns]
        self._passes_s[i].append(seconds)

    @property
    def seconds(self) -> np.ndarray:
        """(n, exits) of each example at batch 1, when it leaves at each exit: means of the passes after the warm-up."""
        return np.array([np.mean(passes[-self.repeats :], axis=0) for passes in self._passes_s])

    def finish(self, folder: Path, second_s: np.ndarray, second_metric: float) -> dict[str, Any]:
        """After the passes: write early_exit_points.parquet and early_exit_examples.parquet, run points for real.

        Returns: the summary of it all.

        Args:
            second_s: (n,) of the report examples through the second tier, one at a time.
            second_metric: the task's metric of the second tier on the report role.
        """
        second_batch = self._best_batch(self.second)
        exits_s, answers, second_only_s = self.seconds, self.logits.argmax(axis=2), float(second_s.sum())
        labels, given = (
            positive_last(ids, len(self.columns), self.task.positive_id) for ids in (self.report.labels, answers)
        )
        own = exit_points(labels, given, self.entropies, exits_s, second_only_s, len(self.columns))
        pd.DataFrame(own).to_parquet(folder / "early_exit_points.parquet", index=False)
        examples = {
            "example_id": self.report.example_ids,
            "answer": list(answers),
            "entropy": list(self.entropies),
            "seconds": list(exits_s),
            "second_s": second_s,
        }
        pd.DataFrame(examples).to_parquet(folder / "early_exit_examples.parquet", index=False)
        kept = {name: point_keeping(own, share, self.task.metric, second_metric) for name, share in FRACTIONS.items()}
        return {
            "name": Path(self.engine.facts.source).name,
            "parameters": self.engine.facts.parameters,
            "exits": self.engine.exits,
            "engine": self.engine.key,
            "second_only_s": second_only_s,
            "metrics": [self.report.scores(self.logits[:, number]) for number in range(self.engine.exits)],
            "time_s_per_exit": exits_s.mean(axis=0).tolist(),
            **speedups_kept(own, self.task.metric, second_metric),
            "point_at_99": self._one_by_one(own, kept["speedup_at_99"]),
            "batched": [
                {"keeps": FRACTIONS[name], **self._in_batches(float(own["threshold"][row]), second_batch)}
                for name, row in kept.items()
                if row is not None
            ],
        }

    def _one_by_one(self, own: dict[str, np.ndarray], row: int | None) -> dict[str, Any] | None:
        """A point's time as the sweep predicts it, and as all examples took one at a time."""
        if row is None:
            return None
        self.engine.leave_below(float(own["threshold"][row]))
        measured = time_interleaved({"deebert": lambda: self._answer(1)}, self.repeats).seconds["deebert"]
        return {
            "threshold": float(own["threshold"][row]),
            "metric_value": float(own[self.task.metric][row]),
            "speedup": float(own["speedup"][row]),
            "examples_per_exit": [int(own[f"exit{number}"][row]) for number in range(1, self.engine.exits + 1)],
            "predicted_s": float(own["time_s"][row]),
            "measured_s": float(measured.mean()),
        }

    def _best_batch(self, engine: Engine) -> int:
        report, padded = self.report, self.padded
        best, _ = find_batch_sizes(
            {"engine": lambda rows, size: engine.outputs(*report.part(rows), size, padded)},
            {"engine": engine.lengths(report.texts, report.pairs)},
            self.repeats,
            SEARCH_S,
        )
        return best["engine"]

    def _in_batches(self, threshold: float, second_batch: int) -> dict[str, Any]:
        """A threshold at the batch size that is best for it, beside the second tier at its own best one."""
        report, padded = self.report, self.padded
        self.engine.leave_below(threshold)
        best = self._best_batch(self.engine)
        seconds = time_interleaved(
            {
                "deebert": lambda: self._answer(best),
                "second_only": lambda: self.second.outputs(report.texts, report.pairs, second_batch, padded),
            },
            self.repeats,
        ).seconds
        answers = self._answer(best)
        measured_s, second_only_s = (float(seconds[name].mean()) for name in ("deebert", "second_only"))
        return {
            "threshold": threshold,
            "batch_size": best,
            "metric_value": report.scores(answers[:, self.columns])[self.task.metric],
            "measured_s": measured_s,
            "measured_second_only_s": second_only_s,
            "throughput_per_s": len(report) / measured_s,
            "speedup": second_only_s / measured_s,
        }

    def _answer(self, batch_size: int) -> np.ndarray:
        return self.engine.outputs(self.report.texts, self.report.pairs, batch_size, self.padded)

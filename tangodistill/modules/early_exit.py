"""DeeBERT beside the cascade: every exit timed among the tiers' own passes, swept, and points of it run for real."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tangodistill.cascade.exits import exit_points, point_keeping
from tangodistill.cascade.speedup import speedup_at
from tangodistill.cascade.summary import FRACTIONS
from tangodistill.latency.batch_size import find_batch_sizes
from tangodistill.latency.timer import time_interleaved
from tangodistill.modules.measurement import RoleAnswers
from tangodistill.runtime.early_exit import EarlyExitEngine
from tangodistill.runtime.engines import TorchEngine, label_columns
from tangodistill.tasks import Task

SEARCH_S = 30.0  # for the best batch size of one threshold


def load_early_exit(folder: str | None, task: Task) -> EarlyExitEngine | None:
    """The engine of a DeeBERT folder, None for none.

    Raises:
        UserError: no DeeBERT model, or one with other labels.
    """
    if folder is None:
        return None
    engine = EarlyExitEngine.load(folder, task.max_length)
    label_columns(engine, task.label_names)
    return engine


class EarlyExitMeasurement:
    """What a DeeBERT model gains and costs on the report role.

    Args:
        repeats: timed passes, which `batch1_times` interleaves with the tiers'.
        padded: pad every example to the task's length.
    """

    def __init__(self, engine: EarlyExitEngine, report: RoleAnswers, task: Task, repeats: int, padded: bool):
        self.engine = engine
        self.report, self.task, self.repeats, self.padded = report, task, repeats, padded
        self.columns = label_columns(self.engine, task.label_names)
        n, exits = len(report), self.engine.exits
        self.logits = np.empty((n, exits, len(self.columns)), np.float32)
        self.entropies = np.empty((n, exits - 1), np.float32)
        self._passes_s: list[list[np.ndarray]] = [[] for _ in range(n)]

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

    def finish(self, folder: Path, points: dict[str, np.ndarray], second: TorchEngine, second_batch: int) -> dict:
        """After the passes: write early_exit_points.parquet, run points for real, and return the summary of it all.

        Args:
            points: the cascade's, which hold the second tier alone.
            second: the second tier, at its best batch size `second_batch`.
        """
        alone = np.asarray(points["kind"]) == "second_only"
        second_s, second_metric = (float(points[name][alone][0]) for name in ("time_s", self.task.metric))
        seconds = self.seconds
        own = exit_points(self.report.labels, self.logits, self.entropies, seconds, second_s)
        pd.DataFrame(own).to_parquet(folder / "early_exit_points.parquet", index=False)
        kept = {name: point_keeping(own, share, self.task.metric, second_metric) for name, share in FRACTIONS.items()}
        return {
            "name": Path(self.engine.model.name_or_path).name,
            "parameters": self.engine.parameters,
            "exits": self.engine.exits,
            "metrics": [
                self.report.scores(self.logits[:, number].argmax(axis=1)) for number in range(self.engine.exits)
            ],
            "time_s_per_exit": seconds.mean(axis=0).tolist(),
            **{name: self._speedup_at(share, own, second_metric) for name, share in FRACTIONS.items()},
            "point_at_99": self._one_by_one(own, kept["speedup_at_99"]),
            "batched": [
                {"keeps": FRACTIONS[name], **self._in_batches(float(own["threshold"][row]), second, second_batch)}
                for name, row in kept.items()
                if row is not None
            ],
        }

    def _speedup_at(self, share: float, own: dict[str, np.ndarray], second_metric: float) -> dict[str, Any]:
        found = speedup_at(share, own["speedup"], own[self.task.metric], second_metric)
        return {"batch1": found.interpolated, "attained_batch1": found.attained, "reason": found.reason}

    def _one_by_one(self, own: dict[str, np.ndarray], row: int | None) -> dict[str, Any] | None:
        """A point's time as the sweep predicts it, and as all examples took one at a time."""
        if row is None:
            return None
        self.engine.leave_below(float(own["threshold"][row]))
        measured = time_interleaved({"deebert": lambda: self._answer(1)}, self.repeats)["deebert"]
        return {
            "threshold": float(own["threshold"][row]),
            "metric_value": float(own[self.task.metric][row]),
            "speedup": float(own["speedup"][row]),
            "examples_per_exit": [int(own[f"exit{number}"][row]) for number in range(1, self.engine.exits + 1)],
            "predicted_s": float(own["time_s"][row]),
            "measured_s": float(measured.mean()),
        }

    def _in_batches(self, threshold: float, second: TorchEngine, second_batch: int) -> dict[str, Any]:
        """A threshold at the batch size that is best for it, beside the second tier at its own best one."""
        report, padded = self.report, self.padded
        self.engine.leave_below(threshold)
        best, _ = find_batch_sizes(
            {"deebert": lambda rows, size: self.engine.logits(*report.part(rows), size, padded)},
            {"deebert": self.engine.lengths(report.texts, report.pairs)},
            self.repeats,
            SEARCH_S,
        )
        seconds = time_interleaved(
            {
                "deebert": lambda: self._answer(best["deebert"]),
                "second_only": lambda: second.logits(report.texts, report.pairs, second_batch, padded),
            },
            self.repeats,
        )
        answers = self._answer(best["deebert"])
        measured_s, second_only_s = (float(seconds[name].mean()) for name in ("deebert", "second_only"))
        return {
            "threshold": threshold,
            "batch_size": best["deebert"],
            "metric_value": report.scores(answers[:, self.columns].argmax(axis=1))[self.task.metric],
            "measured_s": measured_s,
            "measured_second_only_s": second_only_s,
            "throughput_per_s": len(report) / measured_s,
            "speedup": second_only_s / measured_s,
        }

    def _answer(self, batch_size: int) -> np.ndarray:
        return self.engine.logits(self.report.texts, self.report.pairs, batch_size, self.padded)

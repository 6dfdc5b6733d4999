"""DeeBERT beside the cascade: every exit timed among the tiers' own passes, swept, and points of it run for real."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tangodistill.cascade.exits import exit_points
from tangodistill.cascade.speedup import point_keeping
from tangodistill.cascade.summary import FRACTIONS, speedups_kept
from tangodistill.engines.early_exit import EarlyExitEngine
from tangodistill.engines.engine import Engine, label_columns
from tangodistill.latency.batch_size import find_batch_sizes
from tangodistill.latency.sample import TimedSample
from tangodistill.latency.timer import time_interleaved
from tangodistill.measure.role_answers import LabelAnswers
from tangodistill.metrics import positive_last
from tangodistill.progress import Progress, track
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
        sample: which of the report examples are timed.
        repeats: timed passes, which `time_tiers` interleaves with the tiers'.
        padded: pad every example to the task's length.
    """

    def __init__(
        self,
        engine: EarlyExitEngine,
        second: Engine,
        report: LabelAnswers,
        sample: TimedSample,
        task: Task,
        repeats: int,
        padded: bool,
    ):
        self.engine, self.second = engine, second
        self.report, self.sample, self.timed = report, sample, report.select(sample.rows)
        self.task, self.repeats, self.padded = task, repeats, padded
        self.columns = label_columns(self.engine, task.label_names)
        n, exits = len(report), self.engine.exits
        self.logits = np.empty((n, exits, len(self.columns)), np.float32)
        self.entropies = np.empty((n, exits - 1), np.float32)
        self.under_load: list[str] = []
        """Timings that other work disturbed, of the points that were run for real."""
        self._passes_s: list[list[np.ndarray]] = [[] for _ in sample.rows]

    @property
    def runs(self) -> dict[str, Callable[[int], None]]:
        """By name, what is to be timed among the tiers' passes: calls that take a timed example's place."""
        return {"early exit": self.run}

    def run(self, i: int) -> None:
        """The i-th of the timed examples through every exit, and what was seen on the way."""
        self._passes_s[i].append(self._every_exit(self.sample.rows[i]))

    def _every_exit(self, row: int) -> np.ndarray:
        """Seconds (exits,) until each had decided."""
        pair = self.report.pairs[row] if self.report.pairs else None
        logits, self.entropies[row], seconds = self.engine.every_exit(self.report.texts[row], pair, self.padded)
        self.logits[row] = logits[:, self.columns]
        return seconds

    @property
    def seconds(self) -> np.ndarray:
        """(n, exits) of each example at batch 1, when it leaves at each exit: means of the passes after the warm-up."""
        timed = np.array([np.mean(passes[-self.repeats :], axis=0) for passes in self._passes_s])
        return self.sample.spread(timed)

    def finish(self, folder: Path, second_s: np.ndarray, second_metric: float) -> dict[str, Any]:
        """After the passes: write early_exit_points.parquet and early_exit_examples.parquet, run points for real.

        Returns: the summary of it all.

        Args:
            second_s: (n,) of the report examples through the second tier, one at a time.
            second_metric: the task's metric of the second tier on the report role.
        """
        for row in track(np.flatnonzero(~self.sample.timed), "DeeBERT on the texts that aren't timed"):
            self._every_exit(row)
        check_exits(self.logits, self.engine.facts.source)
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
        measured = self._time({"deebert": lambda: self._answer(1)}, "one at a time")["deebert"]
        return {
            "threshold": float(own["threshold"][row]),
            "metric_value": float(own[self.task.metric][row]),
            "speedup": float(own["speedup"][row]),
            "examples_per_exit": [int(own[f"exit{number}"][row]) for number in range(1, self.engine.exits + 1)],
            "predicted_s": float(own["time_s"][row]),
            "measured_s": self._of_all(measured),
        }

    def _time(self, runs: Mapping[str, Callable[[], object]], title: str) -> dict[str, np.ndarray]:
        with Progress(f"run DeeBERT {title}", timed=True) as progress:
            passes = time_interleaved(runs, self.repeats, between=progress.advance)
        self.under_load += [f"{name}, {title}" for name in sorted(passes.under_load)]
        return passes.seconds

    def _of_all(self, seconds: np.ndarray) -> float:
        """Mean of repeats (repeats,) over the timed examples, for all."""
        return float(seconds.mean()) * len(self.report) / len(self.timed)

    def _best_batch(self, engine: Engine) -> int:
        timed, padded = self.timed, self.padded
        runs = {"engine": lambda rows, size: engine.outputs(*timed.part(rows), size, padded)}
        lengths = {"engine": engine.lengths(timed.texts, timed.pairs)}
        with Progress("time batch sizes beside DeeBERT's", timed=True) as progress:
            best, _ = find_batch_sizes(runs, lengths, self.repeats, SEARCH_S, progress.advance)
        return best["engine"]

    def _in_batches(self, threshold: float, second_batch: int) -> dict[str, Any]:
        """A threshold at the batch size that is best for it, beside the second tier at its own best one."""
        report, timed, padded = self.report, self.timed, self.padded
        self.engine.leave_below(threshold)
        best = self._best_batch(self.engine)
        seconds = self._time(
            {
                "deebert": lambda: self._answer(best),
                "second_only": lambda: self.second.outputs(timed.texts, timed.pairs, second_batch, padded),
            },
            f"in batches of {best}",
        )
        answers = self.engine.outputs(report.texts, report.pairs, best, padded)
        measured_s, second_only_s = (self._of_all(seconds[name]) for name in ("deebert", "second_only"))
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
        return self.engine.outputs(self.timed.texts, self.timed.pairs, batch_size, self.padded)


def check_exits(logits: np.ndarray, source: str) -> None:
    """Raises UserError for the first row and exit of logits (n, exits, classes) that is not finite."""
    wrong = np.argwhere(~np.isfinite(logits).all(axis=2))
    if len(wrong):
        row, place = wrong[0]
        raise UserError(
            f"row {row}: exit {place + 1} of {source} gave no finite numbers (nan or infinity), so there is no answer."
        )

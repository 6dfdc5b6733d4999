"""One measurement of a cascade: its tiers timed, every threshold swept, one chosen and run for real."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_info

from tangodistill import __version__
from tangodistill.cascade.calibrate import calibration as calibration_of
from tangodistill.cascade.choose import ChosenPoint, Target, choose, point_at
from tangodistill.cascade.intervals import draws_for, summary_intervals
from tangodistill.cascade.summary import chosen_with_confidence, operating_points, summarise
from tangodistill.cascade.timing import timing_of
from tangodistill.data.transfer import write_json
from tangodistill.engines.early_exit import EarlyExitEngine
from tangodistill.engines.tier_record import TierRecord
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.latency.load import LoadWatch
from tangodistill.latency.machine import cpu_identity, describe_machine, library_versions
from tangodistill.latency.sample import timed_texts
from tangodistill.measure.early_exit import EarlyExitMeasurement
from tangodistill.measure.lengths import LengthsMeasurement, SearchedLengths
from tangodistill.measure.neighbours import Neighbours, OneByOne
from tangodistill.measure.real_runs import different_answers, references, run_for_real
from tangodistill.measure.role_answers import RoleAnswers
from tangodistill.measure.times import REFERENCE_TIER, TierTimes, TimedEngines, time_tiers, tokens_run
from tangodistill.modules.chance import constant_warning
from tangodistill.predictor.cascade_folder import CascadeRecord, OperatingPoint, write_cascade, write_record
from tangodistill.predictor.here import setup_here
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.predictor.served import alone, serving
from tangodistill.predictor.setup import Setup
from tangodistill.progress import Progress
from tangodistill.report.run_files import read_measured
from tangodistill.report.time_gap import time_gap
from tangodistill.tasks import Task
from tangodistill.tuning.measured_files import SELECTION, write_table
from tangodistill.tuning.scored_examples import ScoredExamples

ROLES = ("calibration", "report")
METRIC_PASS_BATCH = 32
Points = dict[str, np.ndarray]
"""Columns of all operating points."""


@dataclass
class CascadeMeasurement:
    """What is measured, and how often."""

    engines: TimedEngines
    folders: tuple[str, ...]
    """Of the tiers, cheapest first."""
    exported: str | None
    """Folder with their graphs for other engines."""
    others: list[str]
    """Folders of students that are scored beside the first tier."""
    early_exit: EarlyExitEngine | None
    """DeeBERT, measured beside the tiers."""
    dynamic: SearchedLengths | None
    """A Dynamic-TinyBERT, measured beside them by itself."""
    task: Task
    target: Target
    repeats: int
    root: Path
    """Folder of the cascade."""
    files: dict[str, str]
    """Of each role, where it comes from."""
    seed: int
    """Of the roles."""
    score: str
    """Of the confidence of every tier but the last."""
    selection: ScoredExamples
    """Of the role that `export` and `tune` choose on."""

    def run(self, roles: dict[str, RoleAnswers], folder: Path, protocol: str) -> dict[str, Any]:
        """Measure by one protocol, write all files of it into a folder, and return the contents of summary.json."""
        padded, metric = protocol == "paper", self.task.metric
        watch, engines = LoadWatch(), self.engines.padding() if padded else self.engines
        beside = self._beside(roles["report"], padded)
        with watch:
            times = time_tiers(engines, roles, self.repeats, beside.runs)
        points = {
            role: operating_points(roles[role].outcomes, roles[role].confidences, times.timing(role)) for role in ROLES
        }
        on_calibration = choose(points["calibration"], self.target, metric, self.task.metric_title)
        chosen = point_at(points["report"], on_calibration.thresholds, metric)
        record = self._record(times.best, chosen)
        write_cascade(folder, record, self.folders, self.exported)
        record.calibrated = setup_here(folder, record)
        write_record(folder, record)
        with watch:
            point = self._run_for_real(folder, engines, roles["report"], chosen, times)
            stands_beside = beside.finish(folder, times.beside_s, _last_score(roles["report"], metric))
        disturbed = [f"{way}, run for real" for way, run in point["runs"].items() if run["under_load"]]
        under_load = [*times.under_load, *disturbed, *beside.under_load]
        summary = {
            **self._about(roles, protocol),
            "tiers": [self._tier(tier, roles, times, record) for tier in range(1, len(engines.tiers) + 1)],
            **self._swept(roles, times, points, chosen),
            "reference": references(engines, times.sizes, points["report"], point["runs"]),
            "timed": {role: len(times.samples[role].rows) for role in ROLES},
            "chosen": point,
            "load": {**watch.load.record(), "busy": bool(under_load), "under_load": under_load},
            "student_settings": self._other_students(roles),
            "machine": describe_machine(),
            "versions": {"tangodistill": __version__, **library_versions()},
            "seed": self.seed,
            **stands_beside,
        }
        summary["warnings"] = self._warnings(roles["report"], summary["tiers"])
        record.chosen = summary["chosen"]
        write_record(folder, record)
        _write_tables(folder, roles["calibration"], self.selection, times, points["report"], record.calibrated)
        write_json(folder / "summary.json", summary)
        return self._with_intervals(folder, summary)

    def _with_intervals(self, folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
        """The summary as it is finally written, with the intervals of what the files hold."""
        examples = read_measured(folder).examples
        with Progress("95 % intervals", draws_for(examples.n)) as progress:
            summary["intervals"] = summary_intervals(summary, examples, progress.advance)
        write_json(folder / "summary.json", summary)
        return summary

    def _warnings(self, report: RoleAnswers, tiers: list[dict[str, Any]]) -> list[str]:
        """Sentences for the headline: a tier that scores no better than one constant answer."""
        if self.task.kind == "spans":
            return []
        scored = ((f"tier {number}", tier["metrics"][self.task.metric]) for number, tier in enumerate(tiers, 1))
        told = (constant_warning(who, score, report.labels, self.task, "report") for who, score in scored)
        return [warning for warning in told if warning]

    def _beside(self, report: RoleAnswers, padded: bool) -> Neighbours:
        if self.early_exit is None and self.dynamic is None:
            return Neighbours()
        second = TorchEngine.load(self.folders[-1], max_length=self.task.max_length)
        sample = timed_texts(report.texts, report.pairs)
        return Neighbours(
            second=OneByOne(second, report, sample, padded),
            early_exit=self.early_exit
            and EarlyExitMeasurement(self.early_exit, second, report, sample, self.task, self.repeats, padded),
            dynamic=self.dynamic and LengthsMeasurement(self.dynamic, report, sample, self.task.metric, padded),
        )

    def _about(self, roles: dict[str, RoleAnswers], protocol: str) -> dict[str, Any]:
        files = self.files
        return {
            "task": self.task.name,
            "split": f"report ({files['report']})",
            "n": len(roles["report"]),
            "metric": self.task.metric,
            "metric_title": self.task.metric_title,
            "positive": self.task.positive,
            "label_names": list(self.task.label_names),
            "protocol": protocol,
            "repeats": self.repeats,
            "roles": files,
        }

    def _swept(
        self, roles: dict[str, RoleAnswers], times: TierTimes, points: dict[str, Points], chosen: ChosenPoint
    ) -> dict[str, Any]:
        """What follows from all thresholds: speedups at a share of the metric, the baselines, the certified point."""
        report, calibration = roles["report"], roles["calibration"]
        wanted = self.task.metric, self.target
        return {
            **summarise(points["report"], report.outcomes, times.timing("report"), *wanted),
            "chosen_with_confidence": chosen_with_confidence(
                points["report"], calibration.outcomes, calibration.calibration_set, *wanted, chosen.thresholds
            ),
            "calibration_of_tier1": calibration_of(report.right, report.confidences[0]),
        }

    def _tier(
        self, tier: int, roles: dict[str, RoleAnswers], times: TierTimes, record: CascadeRecord
    ) -> dict[str, Any]:
        engine, best = self.engines.tiers[tier - 1], times.best[tier - 1]
        frame, batches = times.frames["report"], times.batches
        at_best = batches[(batches["tier"] == tier) & (batches["batch_size"] == best)]
        return {
            "name": record.tiers[tier - 1].name,
            "path": f"{self.root.name}/{record.tiers[tier - 1].path}",
            "parameters": engine.facts.parameters,
            "engine": engine.name,
            "precision": engine.precision,
            "length_configuration": engine.length_configuration,
            "metrics": _scores(roles["report"], tier),
            "calibration_metrics": _scores(roles["calibration"], tier),
            "throughput_batch1_per_s": float(len(frame) / frame[f"tier{tier}_time_s"].sum()),
            "best_batch_size": best,
            "throughput_best_batch_per_s": float(1 / (at_best["seconds"] / at_best["n"]).mean()),
            "cut": engine.cut(roles["report"].texts, roles["report"].pairs),
        }

    def _record(self, best: list[int], chosen: ChosenPoint) -> CascadeRecord:
        tiers = [
            TierRecord(
                name=Path(folder).name or f"tier{number}",
                path=f"tier{number}",
                engine=engine.name,
                precision=engine.precision,
                batch_size=size,
                threads=engine.threads,
                max_length=engine.max_length,
                length_configuration=engine.length_configuration and list(engine.length_configuration),
            )
            for number, (engine, folder, size) in enumerate(zip(self.engines.tiers, self.folders, best, strict=True), 1)
        ]
        return CascadeRecord(
            task=self.task.name,
            text_columns=list(self.task.text_columns),
            label_names=list(self.task.label_names),
            tiers=tiers,
            score=self.score,
            points=[OperatingPoint([engine.key for engine in self.engines.tiers[:-1]], list(chosen.thresholds))],
            tuned_on=cpu_identity(),
        )

    def _run_for_real(
        self, folder: Path, engines: TimedEngines, report: RoleAnswers, chosen: ChosenPoint, times: TierTimes
    ) -> dict[str, Any]:
        """The chosen point as predicted from the parts, and as the written cascade ran it in both ways of use."""
        sample, paired = times.samples["report"], report.pairs is not None
        timed, part = report.select(sample.rows), times.frames["report"].iloc[sample.rows]
        timing = timing_of(part, times.batches, times.best)
        cascade, padded = CascadePredictor.from_pretrained(folder), engines is not self.engines
        if padded:
            cascade = serving(engines.tiers, engines.readout, paired, times.best, chosen.thresholds)
        second_only = {
            "batch1": alone(engines.single, engines.readout, paired),
            "best_batch": alone(engines.batched, engines.readout, paired, times.sizes[REFERENCE_TIER]),
        }
        runs = run_for_real(cascade, second_only, timed, timing, self.task.metric, self.repeats)
        to_last = timed.stops(np.float32(chosen.thresholds)) == len(engines.tiers) - 1
        scale, in_batches = len(report) / len(timed), runs["best_batch"]
        point = {
            "target": str(self.target),
            "chosen_on": f"calibration ({self.files['calibration']})",
            **chosen.record(),
            "runs": runs,
            "measured_s": scale * in_batches["measured_s"],
            "measured_second_only_s": scale * in_batches["measured_second_only_s"],
            "measured_speedup_batch1": runs["batch1"]["speedup"],
            "measured_speedup_best_batch": in_batches["speedup"],
            "unsteady": any(run["unsteady"] for run in runs.values()),
            "tokens_per_text": None if padded else tokens_run(engines.tiers[-1], timed, to_last, times.best[-1]),
        }
        for warning in (time_gap(point), different_answers(runs)):
            if warning:
                rank_zero_info(f"Warning: {warning}")
        return point

    def _other_students(self, roles: dict[str, RoleAnswers]) -> list[dict[str, Any]]:
        """Scores on the report role of the first tier and of the students beside it."""
        if not self.others:
            return []
        report = roles["report"]
        settings = [{"name": Path(self.folders[0]).name, "metrics": report.scores(report.outputs[0])}]
        for folder in self.others:
            engine, columns = self.engines.readout.of(TorchEngine.load(folder, max_length=self.task.max_length))
            outputs = engine.outputs(report.texts, report.pairs, METRIC_PASS_BATCH)[:, columns]
            settings.append({"name": Path(folder).name, "metrics": report.scores(outputs)})
        return settings


def _last_score(role: RoleAnswers, metric: str) -> float:
    return role.outcomes.tier_score(role.outcomes.tiers, metric)


def _scores(role: RoleAnswers, tier: int) -> dict[str, float]:
    outcomes = role.outcomes
    return {name: outcomes.tier_score(tier, name) for name in outcomes.metrics}


def _write_tables(
    folder: Path,
    calibration: RoleAnswers,
    selection: ScoredExamples,
    times: TierTimes,
    report_points: Points,
    setup: Setup,
) -> None:
    texts = {"text": calibration.texts, **({"text_pair": calibration.pairs} if calibration.pairs else {})}
    tables = {
        "batch_times": times.batches,
        "predictions": times.frames["report"],
        "calibration_predictions": times.frames["calibration"].assign(**texts),
        "operating_points": pd.DataFrame(report_points),
        SELECTION: selection.frame,
    }
    for name, table in tables.items():
        write_table(folder, name, table, setup)

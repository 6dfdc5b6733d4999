"""One measurement of a cascade: both tiers timed, every threshold swept, one chosen and run for real."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_info

from tangodistill import __version__
from tangodistill.cascade.calibrate import calibration
from tangodistill.cascade.choose import ChosenPoint, Target, choose, point_at
from tangodistill.cascade.speedup import timing_of
from tangodistill.cascade.summary import chosen_with_confidence, operating_points, summarise
from tangodistill.data.transfer import write_json
from tangodistill.latency.machine import cpu_model, describe_machine, library_versions
from tangodistill.latency.timer import is_unsteady, ratio_interval, time_interleaved
from tangodistill.modules.early_exit import EarlyExitMeasurement
from tangodistill.modules.measurement import RoleAnswers, batch1_times, batch_times, tokens_run
from tangodistill.report.time_gap import time_gap
from tangodistill.runtime.cascade_folder import CascadeRecord, TierRecord, write_cascade, write_record
from tangodistill.runtime.early_exit import EarlyExitEngine
from tangodistill.runtime.engines import Engine, label_columns
from tangodistill.runtime.predictor import CascadePredictor
from tangodistill.runtime.torch_engine import TorchEngine
from tangodistill.tasks import Task

ROLES = ("calibration", "report")
METRIC_PASS_BATCH = 32


@dataclass
class CascadeMeasurement:
    """What is measured, and how often."""

    engines: tuple[Engine, Engine]
    folders: tuple[str, str]
    """Of the two tiers."""
    exported: tuple[str, str] | None
    """Folders with their graphs for other engines."""
    others: list[str]
    """Folders of students that are scored beside the first tier."""
    early_exit: EarlyExitEngine | None
    """DeeBERT, measured beside the tiers."""
    task: Task
    target: Target
    repeats: int
    root: Path
    """Folder of the cascade."""
    files: dict[str, str]
    """Of each role, where it comes from."""
    seed: int
    """Of the roles."""

    def run(self, roles: dict[str, RoleAnswers], folder: Path, protocol: str) -> dict[str, Any]:
        """Measure by one protocol, write all files of it into a folder, and return the contents of summary.json."""
        padded, task = protocol == "paper", self.task
        machine = describe_machine()
        early = self._early_exit(roles["report"], padded)
        beside = {"report": early.runs} if early else {}
        passes = {
            role: batch1_times(self.engines, answers, self.repeats, padded, role, beside.get(role))
            for role, answers in roles.items()
        }
        best, batches = batch_times(self.engines, roles["report"], self.repeats, padded, passes["report"])
        frames = {
            role: answers.frame(tuple(seconds.mean(axis=0) for seconds in passes[role]))
            for role, answers in roles.items()
        }
        timings = {role: timing_of(frame, batches, best) for role, frame in frames.items()}
        classes = len(task.label_names)
        points = {
            role: operating_points(*_arrays(roles[role]), roles[role].confidence, timings[role], classes)
            for role in ROLES
        }
        chosen = point_at(
            points["report"], choose(points["calibration"], self.target, task.metric).threshold, task.metric
        )
        record = self._record(best, chosen)
        write_cascade(folder, record, self.folders, self.exported)
        measured = self._run_for_real(folder, roles["report"], best[1], padded)
        deferred = roles["report"].confidence < np.float32(chosen.threshold)
        tokens = None if padded else tokens_run(self.engines[1], roles["report"], deferred, best[1])
        summary = {
            **self._about(roles, protocol),
            "tiers": [self._tier(tier, roles, frames["report"], batches, best[tier - 1], record) for tier in (1, 2)],
            **summarise(
                points["report"], *_arrays(roles["report"]), timings["report"], classes, task.metric, self.target
            ),
            "chosen": self._chosen(chosen, measured, frames["report"], tokens),
            "chosen_with_confidence": chosen_with_confidence(
                points["report"],
                (*_arrays(roles["calibration"]), roles["calibration"].confidence),
                classes,
                task.metric,
                self.target,
                chosen.threshold,
            ),
            "calibration_of_tier1": calibration(
                roles["report"].labels, roles["report"].predictions(1), roles["report"].confidence
            ),
            "student_settings": self._other_students(roles),
            "machine": machine,
            "versions": {"tangodistill": __version__, **library_versions()},
            "seed": self.seed,
        }
        if early:
            summary["deebert"] = early.finish(folder, summary["tiers"][1]["metrics"][task.metric])
        record.chosen = summary["chosen"]
        write_record(folder, record)
        batches.to_parquet(folder / "batch_times.parquet", index=False)
        frames["report"].to_parquet(folder / "predictions.parquet", index=False)
        texts = {
            "text": roles["calibration"].texts,
            **({"text_pair": pairs} if (pairs := roles["calibration"].pairs) else {}),
        }
        frames["calibration"].assign(**texts).to_parquet(folder / "calibration_predictions.parquet", index=False)
        pd.DataFrame(points["report"]).to_parquet(folder / "operating_points.parquet", index=False)
        write_json(folder / "summary.json", summary)
        return summary

    def _early_exit(self, report: RoleAnswers, padded: bool) -> EarlyExitMeasurement | None:
        if self.early_exit is None:
            return None
        second = TorchEngine.load(self.folders[1], max_length=self.task.max_length)
        return EarlyExitMeasurement(self.early_exit, second, report, self.task, self.repeats, padded)

    def _about(self, roles: dict[str, RoleAnswers], protocol: str) -> dict[str, Any]:
        files = self.files
        return {
            "task": self.task.name,
            "split": f"report ({files['report']})",
            "n": len(roles["report"]),
            "metric": self.task.metric,
            "label_names": list(self.task.label_names),
            "protocol": protocol,
            "repeats": self.repeats,
            "roles": files,
        }

    def _tier(
        self,
        tier: int,
        roles: dict[str, RoleAnswers],
        frame: pd.DataFrame,
        batches: pd.DataFrame,
        best: int,
        record: CascadeRecord,
    ) -> dict[str, Any]:
        engine = self.engines[tier - 1]
        at_best = batches[(batches["tier"] == tier) & (batches["batch_size"] == best)]
        return {
            "name": record.tiers[tier - 1].name,
            "path": f"{self.root.name}/{record.tiers[tier - 1].path}",
            "parameters": engine.facts.parameters,
            "engine": engine.name,
            "precision": engine.precision,
            "metrics": roles["report"].scores(roles["report"].predictions(tier)),
            "calibration_metrics": roles["calibration"].scores(roles["calibration"].predictions(tier)),
            "throughput_batch1_per_s": float(len(frame) / frame[f"tier{tier}_time_s"].sum()),
            "best_batch_size": best,
            "throughput_best_batch_per_s": float(1 / (at_best["seconds"] / at_best["n"]).mean()),
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
            )
            for number, (engine, folder, size) in enumerate(zip(self.engines, self.folders, best, strict=True), 1)
        ]
        return CascadeRecord(
            task=self.task.name,
            text_columns=list(self.task.text_columns),
            label_names=list(self.task.label_names),
            tiers=tiers,
            thresholds={self.engines[0].key: chosen.threshold},
            cpu=cpu_model(),
            calibrated_with=[engine.key for engine in self.engines],
        )

    def _run_for_real(self, folder: Path, report: RoleAnswers, best2: int, padded: bool) -> dict[str, np.ndarray]:
        """Seconds (repeats,) of all report examples through the written cascade, queue included, and tier 2 alone."""
        predictor = CascadePredictor.from_pretrained(folder)
        second = self.engines[1]
        return time_interleaved(
            {
                "cascade": lambda: predictor.answer(report.texts, report.pairs, pad_to_max=padded),
                "second_only": lambda: second.logits(report.texts, report.pairs, best2, pad_to_max=padded),
            },
            self.repeats,
        )

    def _chosen(
        self,
        chosen: ChosenPoint,
        measured: dict[str, np.ndarray],
        frame: pd.DataFrame,
        tokens: dict[str, float] | None,
    ) -> dict[str, Any]:
        """The chosen point as predicted from the parts, and as it ran."""
        measured_s, second_only_s = (float(measured[name].mean()) for name in ("cascade", "second_only"))
        deferred = frame["confidence"].to_numpy() < np.float32(chosen.threshold)
        cascade_s = frame["tier1_time_s"] + np.where(deferred, frame["tier2_time_s"], 0.0)
        point = {
            "target": str(self.target),
            "chosen_on": f"calibration ({self.files['calibration']})",
            "threshold": chosen.threshold,
            "deferral_rate": chosen.deferral_rate,
            "metric_value": chosen.metric_value,
            "speedup": chosen.speedup,
            "speedup_interval": ratio_interval(frame["tier2_time_s"].to_numpy(), cascade_s.to_numpy()),
            "speedup_best_batch": chosen.speedup_best_batch,
            "predicted_s": chosen.predicted_s,
            "measured_s": measured_s,
            "measured_second_only_s": second_only_s,
            "measured_speedup_best_batch": second_only_s / measured_s,
            "unsteady": any(is_unsteady(seconds) for seconds in measured.values()),
            "tokens_per_text": tokens,
        }
        if gap := time_gap(point):
            rank_zero_info(f"Warning: {gap}")
        return point

    def _other_students(self, roles: dict[str, RoleAnswers]) -> list[dict[str, Any]]:
        """Scores on the report role of the first tier and of the students beside it."""
        report = roles["report"]
        settings = [{"name": Path(self.folders[0]).name, "predictions": report.predictions(1)}]
        for folder in self.others:
            engine = TorchEngine.load(folder, max_length=self.task.max_length)
            logits = engine.logits(report.texts, report.pairs, METRIC_PASS_BATCH)
            columns = label_columns(engine, self.task.label_names)
            settings.append({"name": Path(folder).name, "predictions": logits[:, columns].argmax(axis=1)})
        return [
            {"name": each["name"], "metrics": report.scores(each["predictions"])} for each in settings if self.others
        ]


def _arrays(role: RoleAnswers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return role.labels, role.predictions(1), role.predictions(2)

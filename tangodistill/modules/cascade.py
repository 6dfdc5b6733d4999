"""The cascade under measurement: every threshold's accuracy, F1 and MCC against CPU time that was measured."""

from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_info

from tangodistill import __version__
from tangodistill.cascade.calibrate import calibration
from tangodistill.cascade.choose import ChosenPoint, Target, choose, point_at
from tangodistill.cascade.speedup import timing_of
from tangodistill.cascade.summary import operating_points, summarise
from tangodistill.data.transfer import write_json
from tangodistill.latency.machine import cpu_model, describe_machine, library_versions
from tangodistill.latency.timer import is_unsteady, ratio_interval, time_interleaved
from tangodistill.modules.early_exit import EarlyExitMeasurement, load_early_exit
from tangodistill.modules.measurement import RoleAnswers, batch1_times, batch_times, tokens_run
from tangodistill.modules.processes import gathered, others_wait, shared_logits
from tangodistill.report.figures import cascade_figures
from tangodistill.report.run_files import read_measured
from tangodistill.report.terminal import print_summary
from tangodistill.report.time_gap import time_gap
from tangodistill.report.tracking import log_cascade
from tangodistill.runtime.cascade_folder import CascadeRecord, TierRecord, write_cascade, write_record
from tangodistill.runtime.engines import TorchEngine, label_columns
from tangodistill.runtime.predictor import CascadePredictor

ROLES = ("calibration", "report")
METRIC_PASS_BATCH = 32


class CascadeModule(L.LightningModule):
    """Two tier folders whose validation loop runs both once over the data and sweeps every threshold.

    The threshold is chosen on the calibration role; every published number is on the report role. Times are taken
    after the metric pass, from raw text to label, on the engines that ``CascadePredictor`` serves with.
    Outputs go to the trainer's ``default_root_dir``. Several processes share the metric pass; then the first one works
    alone, with the threads that it would have by itself, while the others sleep.

    Args:
        first_tier: folder of the student.
        second_tier: folder of the teacher.
        target_keep: share of the second tier's metric that the chosen operating point keeps on the calibration role.
        protocol: ``paper`` adds a second set of files under ``paper/``, with every text padded to the task's length.
        repeats: interleaved timed passes.
        other_first_tiers: folders of students that are scored beside the first tier, without being timed.
        early_exit: folder of a DeeBERT model that is measured beside the tiers on the report role.
    """

    def __init__(
        self,
        first_tier: str,
        second_tier: str,
        target_keep: float = 0.99,
        protocol: Literal["natural", "paper"] = "natural",
        repeats: int = 5,
        other_first_tiers: list[str] | None = None,
        early_exit: str | None = None,
    ):
        super().__init__()
        self.folders = (first_tier, second_tier)
        self.others = other_first_tiers or []
        self.early_exit = early_exit
        self.target = Target("keep", target_keep)
        self.protocols = ("natural", "paper") if protocol == "paper" else ("natural",)
        self.repeats = repeats
        self.threads = torch.get_num_threads()  # of which Lightning takes some away where it starts processes

    @property
    def root(self) -> Path:
        return Path(self.trainer.default_root_dir)

    def setup(self, stage: str) -> None:
        self.task = self.trainer.datamodule.task
        self.engines = tuple(TorchEngine.load(folder, self.task.max_length) for folder in self.folders)
        self.early_engine = load_early_exit(self.early_exit, self.task)
        self.columns = [label_columns(engine, self.task.label_names) for engine in self.engines]

    def on_validation_epoch_start(self) -> None:
        self._seen: dict[str, list[dict[str, Any]]] = {role: [] for role in ROLES}

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        logits = [
            shared_logits(engine, batch["texts"], batch["pairs"], METRIC_PASS_BATCH)[:, columns]
            for engine, columns in zip(self.engines, self.columns, strict=True)
        ]
        self._seen[ROLES[dataloader_idx]].append({**batch, "logits": logits})

    def on_validation_epoch_end(self) -> None:
        """Time the engines, sweep, choose, run the chosen point for real, and write it all down."""
        with others_wait():
            if self.trainer.is_global_zero:
                torch.set_num_threads(self.threads)
                self._measure_protocols()

    def _measure_protocols(self) -> None:
        roles = {role: _joined(self._seen[role]) for role in ROLES}
        for protocol in self.protocols:
            folder = self.root if protocol == "natural" else self.root / protocol
            summary = self._measure(roles, folder, protocol)
            if protocol == "natural":
                measured = read_measured(folder)
                log_cascade(self.logger, summary, measured.points, cascade_figures(measured))
                print_summary(summary)

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def on_predict_start(self) -> None:
        self._predictor = CascadePredictor.from_pretrained(self.root)
        self._answers: list[pd.DataFrame] = []

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        rows = list(zip(batch["texts"], batch["pairs"], strict=True)) if batch["pairs"] else batch["texts"]
        own = slice(self.global_rank, None, self.trainer.world_size)
        answers = pd.DataFrame(self._predictor.predict(rows[own]), index=range(len(rows))[own])
        everyones = pd.concat(gathered(answers)).sort_index()
        self._answers.append(everyones.assign(example_id=batch["example_ids"]))

    def on_predict_end(self) -> None:
        """Write ``answers.parquet``: label, probability, tier, confidence and example_id of the report role."""
        if self.trainer.is_global_zero:
            pd.concat(self._answers).to_parquet(self.root / "answers.parquet", index=False)

    def _measure(self, roles: dict[str, RoleAnswers], folder: Path, protocol: str) -> dict[str, Any]:
        padded, task = protocol == "paper", self.task
        machine = describe_machine()
        measure = (roles["report"], task, self.repeats, padded)
        early = EarlyExitMeasurement(self.early_engine, *measure) if self.early_engine else None
        beside = {"report": {"early exit": early.run}} if early else {}
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
        write_cascade(folder, record, self.folders)
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
            "calibration_of_tier1": calibration(
                roles["report"].labels, roles["report"].predictions(1), roles["report"].confidence
            ),
            "student_settings": self._other_students(roles),
            "machine": machine,
            "versions": {"tangodistill": __version__, **library_versions()},
            "seed": self.trainer.datamodule.dataset.seed,
        }
        if early:
            summary["deebert"] = early.finish(folder, points["report"], self.engines[1], best[1])
        record.chosen = summary["chosen"]
        write_record(folder, record)
        batches.to_parquet(folder / "batch_times.parquet", index=False)
        frames["report"].to_parquet(folder / "predictions.parquet", index=False)
        frames["calibration"].to_parquet(folder / "calibration_predictions.parquet", index=False)
        pd.DataFrame(points["report"]).to_parquet(folder / "operating_points.parquet", index=False)
        write_json(folder / "summary.json", summary)
        return summary

    def _about(self, roles: dict[str, RoleAnswers], protocol: str) -> dict[str, Any]:
        files = self.trainer.datamodule.roles.files
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
            "parameters": engine.parameters,
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
                max_length=engine.max_length,
            )
            for number, (engine, folder, size) in enumerate(zip(self.engines, self.folders, best, strict=True), 1)
        ]
        key = f"{self.engines[0].name}-{self.engines[0].precision}"
        return CascadeRecord(
            task=self.task.name,
            text_columns=list(self.task.text_columns),
            label_names=list(self.task.label_names),
            tiers=tiers,
            thresholds={key: chosen.threshold},
            cpu=cpu_model(),
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
            "chosen_on": f"calibration ({self.trainer.datamodule.roles.files['calibration']})",
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
            engine = TorchEngine.load(folder, self.task.max_length)
            logits = engine.logits(report.texts, report.pairs, METRIC_PASS_BATCH)
            columns = label_columns(engine, self.task.label_names)
            settings.append({"name": Path(folder).name, "predictions": logits[:, columns].argmax(axis=1)})
        return [
            {"name": each["name"], "metrics": report.scores(each["predictions"])} for each in settings if self.others
        ]


def _joined(batches: list[dict[str, Any]]) -> RoleAnswers:
    """The batches of one role as one."""
    flat = {name: [x for batch in batches for x in batch[name] or ()] for name in ("example_ids", "texts", "pairs")}
    logits = tuple(np.concatenate([batch["logits"][tier] for batch in batches]) for tier in (0, 1))
    labels = np.concatenate([batch["labels"] for batch in batches])
    return RoleAnswers(flat["example_ids"], flat["texts"], flat["pairs"] or None, labels, logits)


def _arrays(role: RoleAnswers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return role.labels, role.predictions(1), role.predictions(2)

"""The cascade under measurement: every threshold's accuracy, F1 and MCC against CPU time that was measured."""

from pathlib import Path
from typing import Any, Literal

import lightning as L
import pandas as pd
import torch

from tangodistill.cascade.choose import Target
from tangodistill.engines.engine import Engine
from tangodistill.engines.engine_key import split_key
from tangodistill.engines.loading import load_engine
from tangodistill.measure.early_exit import load_early_exit
from tangodistill.measure.lengths import load_searched
from tangodistill.measure.measurement import METRIC_PASS_BATCH, ROLES, CascadeMeasurement
from tangodistill.measure.processes import others_wait, shared_outputs
from tangodistill.measure.role_answers import joined
from tangodistill.measure.times import REFERENCE_TIER, TimedEngines
from tangodistill.modules.processes import gathered
from tangodistill.predictor.answers import readout_of
from tangodistill.predictor.cascade_folder import CascadeRecord
from tangodistill.predictor.here import engine_contents
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.report.figures import cascade_figures
from tangodistill.report.run_files import read_measured
from tangodistill.report.terminal import print_summary
from tangodistill.report.tracking import log_cascade
from tangodistill.tuning.measured_files import CHOSEN_ON
from tangodistill.tuning.scored_examples import ScoredExamples
from tangodistill.tuning.tier_set import tier_folders
from tangodistill.tuning.tuned import Timing, fastest_alone_here, tuned_for_this_cpu
from tangodistill.user_error import UserError


class CascadeModule(L.LightningModule):
    """Tier folders whose validation loop runs all once over the data and sweeps every threshold.

    The threshold is chosen on the calibration role; every published number is on the report role. Times are taken
    after the metric pass, from raw text to label, on the engines that ``CascadePredictor`` serves with.
    Outputs go to the trainer's ``default_root_dir``. Several processes share the metric pass; then the first one works
    alone, with the threads that it would have by itself, while the others sleep.

    Args:
        tiers: folders of the student and of the teacher, cheapest first.
        target_keep: share of the second tier's metric that the chosen operating point keeps on the calibration role.
        protocol: ``paper`` adds a second set of files under ``paper/``, with every text padded to the task's length.
        repeats: interleaved timed passes.
        other_first_tiers: folders of students that are scored beside the first tier, without being timed.
        early_exit: folder of a DeeBERT model that is measured beside the tiers on the report role.
        dynamic: folder of a search over a Dynamic-TinyBERT's length configurations, which are measured likewise.
        exported: what the verb ``export`` wrote of both tiers.
        tuned: what the verb ``tune`` wrote: engine, threads and batch size of each tier, and the first one's length
            configuration. None: PyTorch in fp32, and the batch sizes are searched.
        score: the first tier's confidence: ``max_probability``, ``margin`` or ``entropy``; of spans
            ``max_probability``, or ``n_best`` for a softmax over the 20 best spans of a question.
    """

    def __init__(
        self,
        tiers: list[str],
        target_keep: float = 0.99,
        protocol: Literal["natural", "paper"] = "natural",
        repeats: int = 5,
        other_first_tiers: list[str] | None = None,
        early_exit: str | None = None,
        dynamic: str | None = None,
        exported: str | None = None,
        tuned: str | None = None,
        score: str = CascadeRecord.score,
    ):
        super().__init__()
        self.folders, self.exported, self.tuned = tuple(map(str, tier_folders(tiers))), exported, tuned
        if len(self.folders) > 2:
            raise UserError(
                f"tiers names {len(self.folders)} folders. More than two are exported and served, but not yet "
                "measured: give the student and the teacher."
            )
        self.others = other_first_tiers or []
        self.early_exit, self.dynamic = early_exit, dynamic
        self.target = Target("keep", target_keep)
        self.protocols = ("natural", "paper") if protocol == "paper" else ("natural",)
        self.repeats, self.score = repeats, score
        self.threads = torch.get_num_threads()  # of which Lightning takes some away where it starts processes

    @property
    def root(self) -> Path:
        return Path(self.trainer.default_root_dir)

    def setup(self, stage: str) -> None:
        self.task = self.trainer.datamodule.task
        self.readout = readout_of(self.task.label_names, self.score)
        self.choices = tuned_for_this_cpu(self.tuned) if self.tuned else None
        self.engines, self.columns = zip(*map(self.readout.of, self._load_engines()), strict=True)
        self.early_engine = load_early_exit(self.early_exit, self.task)
        self.searched = load_searched(self.dynamic, self.task, self.readout)

    def on_validation_epoch_start(self) -> None:
        self._seen: dict[str, list[dict[str, Any]]] = {role: [] for role in ROLES}

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        outputs = [
            shared_outputs(engine, batch["texts"], batch["pairs"], METRIC_PASS_BATCH)[:, columns]
            for engine, columns in zip(self.engines, self.columns, strict=True)
        ]
        self._seen[ROLES[dataloader_idx]].append({**batch, "outputs": outputs})

    def on_validation_epoch_end(self) -> None:
        """Time the engines, sweep, choose, run the chosen point for real, and write it all down."""
        with others_wait():
            if self.trainer.is_global_zero:
                torch.set_num_threads(self.threads)
                self._measure_protocols()

    def _measure_protocols(self) -> None:
        roles = {role: joined(self._seen[role], self.readout, self.task.positive_id) for role in ROLES}
        measurement = self._measurement()
        for protocol in self.protocols:
            folder = self.root if protocol == "natural" else self.root / protocol
            summary = measurement.run(roles, folder, protocol)
            if protocol == "natural":
                measured = read_measured(folder)
                log_cascade(self.logger, summary, measured.points, cascade_figures(measured))
                print_summary(measured)

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

    def _load_engines(self) -> tuple[Engine, ...]:
        if self.choices is None:
            return tuple(load_engine(folder, "torch", "fp32", self.task.max_length) for folder in self.folders)
        return tuple(map(self._tuned_engine, self.choices))

    def _tuned_engine(self, choice: Timing) -> Engine:
        name, precision, lengths = split_key(choice.key)
        model, exported = Path(self.folders[choice.tier - 1]), Path(f"{self.exported}/tier{choice.tier}")
        if choice.contents != engine_contents(model, exported, choice.key):
            # a tier that is damaged, or has other labels, says so itself
            self.readout.of(load_engine(model, "torch", "fp32", self.task.max_length))
            raise UserError(
                f"{self.tuned} was measured with another tier {choice.tier}: {model} or its graphs have changed since. "
                "Run `python -m tangodistill tune` again."
            )
        folder = model if name == "torch" else exported
        return load_engine(folder, name, precision, self.task.max_length, choice.threads, lengths)

    def _timed_engines(self) -> TimedEngines:
        last = self.engines[-1]
        if self.choices is None:
            return TimedEngines(self.engines, last, last, self.readout, None)
        fastest, loaded = fastest_alone_here(self.tuned), {(self.choices[-1].key, self.choices[-1].threads): last}
        for choice in fastest.values():
            setting = choice.key, choice.threads
            loaded[setting] = loaded.get(setting) or self.readout.of(self._tuned_engine(choice))[0]
        single, batched = (loaded[choice.key, choice.threads] for choice in fastest.values())
        sizes = {tier: choice.batch_size for tier, choice in enumerate(self.choices, 1)}
        sizes[REFERENCE_TIER] = fastest["best_batch"].batch_size
        return TimedEngines(self.engines, single, batched, self.readout, sizes)

    def _measurement(self) -> CascadeMeasurement:
        data = self.trainer.datamodule
        return CascadeMeasurement(
            engines=self._timed_engines(),
            folders=self.folders,
            exported=self.exported,
            others=self.others,
            early_exit=self.early_engine,
            dynamic=self.searched,
            task=self.task,
            target=self.target,
            repeats=self.repeats,
            root=self.root,
            files=data.roles.files,
            seed=data.dataset.seed,
            score=self.score,
            selection=ScoredExamples.of_role(data.roles, CHOSEN_ON),
        )

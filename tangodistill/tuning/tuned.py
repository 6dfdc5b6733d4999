"""What `tune` found on machines with this CPU: which engine runs each tier fastest."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tangodistill.latency.machine import cpu_identity
from tangodistill.predictor.setup import Setup
from tangodistill.tuning.measured_files import CHOSEN_ON
from tangodistill.user_error import UserError

RECORD = "tune.json"


@dataclass
class Timing:
    """One engine of a tier with a number of threads."""

    tier: int
    key: str
    """Engine, precision, and length configuration where it is not the tier's own."""
    threads: int
    batch_size: int
    """The fastest."""
    throughput_batch1_per_s: float
    throughput_best_batch_per_s: float
    under_load: bool = False
    """Other work disturbed its times, each time that they were taken."""
    unsteady: bool = False
    """Its times contradict each other, or those of other numbers of threads, and did so again."""
    chosen: bool = False
    deferral_rate: float | None = None
    """Of the cascade with this first tier, where it had to be compared with that of other length configurations."""
    cascade_ms: float | None = None
    """What that cascade takes per text, one at a time."""
    cascade_best_batch_ms: float | None = None
    """And at best batch sizes."""
    contents: str = ""
    """Hash of the files that the engine ran."""
    cores: int = 0
    """At hand."""

    @property
    def merit(self) -> float:
        """Texts per second, one at a time and in batches weighing alike: their geometric mean."""
        return math.sqrt(self.throughput_batch1_per_s * self.throughput_best_batch_per_s)

    @property
    def batch_rows(self) -> list[dict[str, float]]:
        """As in batch_times.parquet: batch size 1 and the best one."""
        speeds = {1: self.throughput_batch1_per_s, self.batch_size: self.throughput_best_batch_per_s}
        return [{"tier": self.tier, "batch_size": size, "n": 1, "seconds": 1 / speed} for size, speed in speeds.items()]


def tuned_for_this_cpu(folder: str | Path) -> list[Timing]:
    """What was chosen for tier 1 and tier 2 on a CPU of this model.

    Raises:
        UserError: nothing was tuned, or on other CPUs only, or on examples that thresholds are tested on.
    """
    return [row for row in _rows(folder) if row.chosen]


def fastest_alone(rows: Sequence[Timing]) -> dict[str, Timing]:
    """By way of use, the last tier's fastest setting: what speedups are against."""
    last = [row for row in rows if row.tier == rows[-1].tier]
    return {
        "batch1": max(last, key=lambda row: row.throughput_batch1_per_s),
        "best_batch": max(last, key=lambda row: row.throughput_best_batch_per_s),
    }


def fastest_alone_here(folder: str | Path) -> dict[str, Timing]:
    """`fastest_alone` of what was tuned on a CPU of this model; raises as `tuned_for_this_cpu`."""
    return fastest_alone(_rows(folder))


def _rows(folder: str | Path) -> list[Timing]:
    path = Path(folder) / RECORD
    try:
        cpus = json.loads(path.read_text(encoding="utf-8"))["cpus"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"Cannot read {path} ({error}). Run `python -m tangodistill tune` again.") from error
    if cpu_identity() not in cpus:
        raise UserError(
            f"{path} was measured on {', '.join(cpus)}; this is {cpu_identity()}. Run "
            "`python -m tangodistill tune` here."
        )
    if cpus[cpu_identity()].get("role") != CHOSEN_ON:
        raise UserError(
            f"{path} is of an earlier version, which chose on the calibration role, where thresholds are tested. "
            "Run `python -m tangodistill tune` again."
        )
    return [Timing(**row) for row in cpus[cpu_identity()]["rows"]]


def refuse_others(folder: str | Path, choices: Sequence[Timing], setup: Setup) -> None:
    """Raises UserError where what was tuned is not what a setup runs."""
    for choice, tier in zip(choices, setup.tiers, strict=True):
        tuned = choice.key, choice.threads, choice.batch_size, choice.contents, choice.cores
        if tuned != (tier.key, tier.threads, tier.batch_size, tier.contents, setup.cores):
            raise UserError(
                f"{Path(folder) / RECORD} and what would serve differ in tier {choice.tier}: its engine, threads, "
                "batch size or files, or the cores at hand. Run `python -m tangodistill tune` again."
            )

"""What `tune` found on machines with this CPU: which engine runs each tier fastest."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from tangodistill.latency.machine import cpu_model
from tangodistill.user_error import UserError

RECORD = "tune.json"


@dataclass
class Timing:
    """One engine of a tier with a number of threads."""

    tier: int
    key: str
    """Engine and precision."""
    threads: int
    batch_size: int
    """The fastest."""
    throughput_batch1_per_s: float
    throughput_best_batch_per_s: float
    chosen: bool = False

    @property
    def merit(self) -> float:
        """Texts per second, one at a time and in batches weighing alike: their geometric mean."""
        return math.sqrt(self.throughput_batch1_per_s * self.throughput_best_batch_per_s)


def tuned_for_this_cpu(folder: str | Path) -> list[Timing]:
    """What was chosen for tier 1 and tier 2 on a CPU of this model.

    Raises:
        UserError: nothing was tuned, or on other CPUs only.
    """
    path = Path(folder) / RECORD
    try:
        cpus = json.loads(path.read_text(encoding="utf-8"))["cpus"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"Cannot read {path} ({error}). Run `python -m tangodistill tune` again.") from error
    if cpu_model() not in cpus:
        raise UserError(
            f"{path} was measured on {', '.join(cpus)}; this is {cpu_model()}. Run `python -m tangodistill tune` here."
        )
    return [Timing(**row) for row in cpus[cpu_model()]["rows"] if row["chosen"]]

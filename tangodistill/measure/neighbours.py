"""What stands beside a measured cascade: an early exit, and a Dynamic-TinyBERT by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tangodistill.measure.early_exit import EarlyExitMeasurement
from tangodistill.measure.lengths import LengthsMeasurement
from tangodistill.measure.one_by_one import OneByOne

SECOND_TIER = "second tier beside them"


@dataclass(frozen=True)
class Neighbours:
    """They run by PyTorch in fp32, so that is how the second tier runs that they are compared with.

    Whatever engine serves it: a speedup over it then tells what was spared, not what another engine gains.
    """

    second: OneByOne | None = None
    """None where there are no neighbours."""
    early_exit: EarlyExitMeasurement | None = None
    dynamic: LengthsMeasurement | None = None

    @property
    def runs(self) -> dict[str, Callable[[int], None]]:
        """By name, what is to be timed among the tiers' passes: calls that take a timed example's place."""
        runs = {SECOND_TIER: self.second.run} if self.second else {}
        return runs | (self.early_exit.runs if self.early_exit else {}) | (self.dynamic.runs if self.dynamic else {})

    @property
    def under_load(self) -> list[str]:
        """After `finish`: timings of theirs that other work disturbed."""
        return self.early_exit.under_load if self.early_exit else []

    def finish(self, folder: Path, seconds: dict[str, np.ndarray], second_metric: float) -> dict[str, dict[str, Any]]:
        """After the passes: write each one's points and examples; what summary.json tells of them.

        Args:
            seconds: by name, (n,) of the report examples through each of the runs.
            second_metric: the task's metric of the second tier on the report role.
        """
        found = {}
        if self.early_exit:
            found["deebert"] = self.early_exit.finish(folder, seconds[SECOND_TIER], second_metric)
        if self.dynamic:
            found["dynamic_tinybert"] = self.dynamic.finish(folder, seconds, seconds[SECOND_TIER], second_metric)
        return found

"""The two tiers of a cascade and the calibration texts that engines are compared on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from tangodistill.cascade.outcomes import Outcomes, outcomes_of
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.runtime.answers import Readout, readout_of
from tangodistill.runtime.cascade_folder import CascadeRecord, read_cascade
from tangodistill.runtime.engines import Engine, load_engine
from tangodistill.runtime.measured_files import read_metric, read_table
from tangodistill.user_error import UserError


@dataclass
class TierPair:
    """Both tiers, and n calibration examples."""

    tiers: tuple[Path, Path]
    """Folders of the models."""
    exported: tuple[Path, Path]
    """Folders that hold, or get, the exported graphs."""
    label_names: tuple[str, ...]
    metric: str
    max_length: int | None
    texts: list[str]
    pairs: list[str] | None
    wanted: Sequence[Any]
    """(n,) label ids; of spans the gold answers."""
    score_name: str = CascadeRecord.score
    """Of the first tier's confidence."""

    @classmethod
    def of_cascade(cls, folder: str | Path) -> "TierPair":
        """Those of a finished cascade folder.

        Raises:
            UserError: a file of it is missing or damaged.
        """
        record, rows = read_cascade(folder), read_table(Path(folder), "calibration_predictions")
        if "text" not in rows:
            raise UserError(f"{folder}/calibration_predictions.parquet holds no texts. Run the cascade stage again.")
        folders = tuple(Path(folder) / tier.path for tier in record.tiers)
        pairs = rows["text_pair"].tolist() if "text_pair" in rows else None
        length = record.tiers[1].max_length
        wanted = "gold" if "gold" in rows else "label"
        names, metric, texts = tuple(record.label_names), read_metric(Path(folder)), rows["text"].tolist()
        return cls(folders, folders, names, metric, length, texts, pairs, rows[wanted].tolist(), record.score)

    @classmethod
    def of_stage(
        cls, first_tier: str, second_tier: str, exported: tuple[Path, Path], dataset: DatasetConfig
    ) -> "TierPair":
        """Those of a recipe's stages.

        Raises:
            UserError: anything that is wrong with the configuration or the data.
        """
        roles = load_roles(dataset)
        task, tiers = roles.task, (Path(first_tier), Path(second_tier))
        pair = cls(tiers, exported, tuple(task.label_names), task.metric, task.max_length, [], None, [])
        return pair.on(roles.calibration)

    def on(self, rows: Dataset) -> "TierPair":
        """The same tiers with the examples of a role."""
        pairs = list(rows["text_pair"]) if "text_pair" in rows.column_names else None
        wanted = rows["label" if self.label_names else "answers"][:]
        return replace(self, texts=list(rows["text"]), pairs=pairs, wanted=wanted)

    def engine(self, tier: int, key: str, threads: int | None = None) -> Engine:
        """The engine of tier 1 or 2 by a key such as onnxruntime-fp32."""
        name, _, precision = key.partition("-")
        folder = (self.tiers if name == "torch" else self.exported)[tier - 1]
        return self.readout.of(load_engine(folder, name, precision, self.max_length, threads))[0]

    @property
    def readout(self) -> Readout:
        return readout_of(self.label_names, self.score_name)

    def outputs(self, engine: Engine, batch_size: int = 32) -> np.ndarray:
        """(n, k) float32: logits in the order of `label_names`, or spans."""
        engine, columns = self.readout.of(engine)
        return engine.outputs(self.texts, self.pairs, batch_size)[:, columns]

    def outcomes(self, tier1: np.ndarray, tier2: np.ndarray) -> Outcomes:
        """Of outputs (n, k) of both tiers."""
        tiers = enumerate((tier1, tier2), 1)
        first, second = (self.readout.columns(tier, outputs, self.pairs, self.wanted) for tier, outputs in tiers)
        return outcomes_of({"label" if self.label_names else "gold": self.wanted, **first, **second})

    def score(self, outputs: np.ndarray) -> float:
        """The task's metric of somebody's outputs (n, k)."""
        return self.outcomes(outputs, outputs).tier_score(1, self.metric)

    def part(self, count: int) -> "TierPair":
        """At most `count` of the examples, spread evenly."""
        rows = np.unique(np.linspace(0, len(self.texts) - 1, count).astype(int))
        texts, pairs = [self.texts[i] for i in rows], [self.pairs[i] for i in rows] if self.pairs else None
        return replace(self, texts=texts, pairs=pairs, wanted=[self.wanted[i] for i in rows])

    def batches(self, engine: Engine, batch_size: int, count: int) -> Iterator[dict[str, np.ndarray]]:
        """Model inputs of at most `count` examples, for ranges to be read off."""
        few = self.part(count)
        tokens = engine.encoder.encode(few.texts, few.pairs)
        for start in range(0, len(tokens), batch_size):
            yield tokens.batch(np.arange(start, min(start + batch_size, len(tokens))))

"""The tiers of a cascade and the selection texts that engines are compared on.

Whatever is chosen is chosen on the selection role: the calibration role is for the threshold alone, whose certificate
holds only on rows that nothing else was chosen on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.engines.engine import Engine
from tangodistill.engines.engine_key import split_key
from tangodistill.engines.loading import load_engine
from tangodistill.predictor.cascade_folder import read_cascade
from tangodistill.predictor.here import engine_contents
from tangodistill.tuning.measured_files import CHOSEN_ON, SELECTION, read_metric, read_table
from tangodistill.tuning.scored_examples import ScoredExamples
from tangodistill.user_error import UserError


@dataclass(kw_only=True)
class TierSet(ScoredExamples):
    """K tiers, cheapest first, and the n examples of the selection role."""

    tiers: tuple[Path, ...]
    """Folders of the models."""
    exported: tuple[Path, ...]
    """Folders that hold, or get, the exported graphs."""
    max_length: int | None

    @classmethod
    def of_cascade(cls, folder: str | Path) -> "TierSet":
        """Those of a finished cascade folder.

        Raises:
            UserError: a file of it is missing or damaged.
        """
        record, path = read_cascade(folder), Path(folder) / f"{SELECTION}.parquet"
        if not path.is_file():
            raise UserError(
                f"{path} is missing: engines and formats are chosen on the selection role, which folders of earlier "
                "versions don't hold. Run the cascade stage again."
            )
        rows = read_table(Path(folder), SELECTION)
        folders = tuple(Path(folder) / tier.path for tier in record.tiers)
        pairs = rows["text_pair"].tolist() if "text_pair" in rows else None
        length = record.tiers[-1].max_length
        wanted = "gold" if "gold" in rows else "label"
        names, metric, texts = tuple(record.label_names), read_metric(Path(folder)), rows["text"].tolist()
        return cls(
            label_names=names,
            metric=metric.name,
            positive=metric.positive,
            texts=texts,
            pairs=pairs,
            wanted=rows[wanted].tolist(),
            score_name=record.score,
            tiers=folders,
            exported=folders,
            max_length=length,
        )

    @classmethod
    def of_stage(cls, tiers: Sequence[str], exported: Path, dataset: DatasetConfig) -> "TierSet":
        """Those of a recipe's stages; in the folder `exported` each tier has one for its graphs.

        Raises:
            UserError: anything that is wrong with the configuration or the data.
        """
        folders = tier_folders(tiers)
        roles = load_roles(dataset)
        examples = ScoredExamples.of_role(roles, CHOSEN_ON)
        graphs = tuple(exported / f"tier{number}" for number in range(1, len(folders) + 1))
        return cls(**vars(examples), tiers=folders, exported=graphs, max_length=roles.task.max_length)

    @property
    def numbers(self) -> range:
        """What the tiers are called: 1 to K."""
        return range(1, len(self.tiers) + 1)

    def is_last(self, tier: int) -> bool:
        """Whether it always answers, and so defers nothing."""
        return tier == len(self.tiers)

    def engine(self, tier: int, key: str, threads: int | None = None) -> Engine:
        """The engine of a tier, from 1, by a key such as onnxruntime-fp32, or onnxruntime-fp32@1-0.6-0.3-0.1."""
        name, precision, lengths = split_key(key)
        folder = (self.tiers if name == "torch" else self.exported)[tier - 1]
        return self.readout.of(load_engine(folder, name, precision, self.max_length, threads, lengths))[0]

    def contents(self, tier: int, key: str) -> str:
        """Hash of the files that the engine of a key runs; raises UserError where they are of another model."""
        return engine_contents(self.tiers[tier - 1], self.exported[tier - 1], key)

    def batches(self, engine: Engine, batch_size: int, count: int) -> Iterator[dict[str, np.ndarray]]:
        """Model inputs of at most `count` examples, for ranges to be read off."""
        few = self.part(count)
        tokens = engine.encoder.encode(few.texts, few.pairs)
        for start in range(0, len(tokens), batch_size):
            yield tokens.batch(np.arange(start, min(start + batch_size, len(tokens))))


def tier_folders(tiers: Sequence[str]) -> tuple[Path, ...]:
    """The folders of a cascade's tiers, cheapest first.

    Raises:
        UserError: there is one alone, or one stands there twice.

    >>> tier_folders(["runs/demo/student", "runs/demo/teacher"])[0].name
    'student'
    """
    folders = tuple(map(Path, tiers))
    if len(folders) < 2:
        raise UserError(
            f"tiers is {list(map(str, folders))}: a cascade has two tiers or more, the cheapest first, such as "
            "[runs/demo/student, runs/demo/teacher]."
        )
    twice = [folder for place, folder in enumerate(folders) if folder in folders[:place]]
    if twice:
        raise UserError(f"tiers names {twice[0]} twice; each tier is another model, the cheapest first.")
    return folders

"""Raw text for the cascade, as its engines take it."""

from collections.abc import Iterator, Mapping
from typing import Any

from tangodistill.data.sources import DatasetConfig
from tangodistill.modules.batches import Batch
from tangodistill.modules.datamodules import RoleData, columns


class RawBatches:
    """Untokenised columns, a slice of all of them at a time; every process gets every row.

    Args:
        columns: n values each, or None where the data has no such column.
        batch_size: rows in a slice.
    """

    def __init__(self, columns: Mapping[str, list[Any] | None], batch_size: int):
        self.columns, self.batch_size = columns, batch_size
        self.starts = range(0, max(len(column) for column in columns.values() if column is not None), batch_size)

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Batch]:
        for start in self.starts:
            end = start + self.batch_size
            yield {name: column[start:end] if column else None for name, column in self.columns.items()}


class CascadeData(RoleData):
    """Raw text for the cascade: the calibration role, then the report role.

    Args:
        dataset: the labelled data.
        batch_size: texts handed to the engines at a time; the engines cut their own batches.
    """

    def __init__(self, dataset: DatasetConfig, batch_size: int = 4096):
        super().__init__(dataset, batch_size)

    def _raw(self, role: str) -> RawBatches:
        rows = getattr(self.roles, role)
        texts, pairs = columns(rows)
        wanted = {"gold": rows["answers"][:]} if self.task.kind == "spans" else {"labels": rows["label"][:]}
        named = {"texts": texts, "pairs": pairs, "example_ids": rows["example_id"][:]}
        named["groups"] = self.roles.groups(role).tolist()
        return RawBatches({**named, **wanted}, self.batch_size)

    def val_dataloader(self) -> list[RawBatches]:
        return [self._raw("calibration"), self._raw("report")]

    def test_dataloader(self) -> list[RawBatches]:
        return self.val_dataloader()

    def predict_dataloader(self) -> RawBatches:
        return self._raw("report")

"""Finished runs put to the rows of the paper's tables, and what each run says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tangodistill.paper.values import PUBLISHED, Published
from tangodistill.report.run_files import Measured, read_json_files, read_measured
from tangodistill.user_error import UserError

KNOWN_SHAPES = {
    ("bert", 12, 768): "BERT",
    ("roberta", 12, 768): "RoBERTa",
    ("bert", 4, 312): "TinyBERT4",
    ("bert", 6, 384): "MiniLM-L6",
    ("bert", 12, 384): "MiniLM-L12",
}
"""Family, layers and width of an encoder -> what it is called; the paper's BERT and RoBERTa are the base ones."""
FAMILY_NAMES = {"bert": "BERT", "roberta": "RoBERTa", "mpnet": "MPNet", "bilstm": "BiLSTM"}


@dataclass(frozen=True)
class Run:
    """A finished run's folder and what was measured in it."""

    folder: Path
    measured: Measured

    @property
    def tiers(self) -> tuple[str, str]:
        """What the two tiers are, by the shape in their config.json."""
        configs = (_read_json(self.folder / "cascade" / f"tier{number}" / "config.json") for number in (1, 2))
        names = (tier["name"] for tier in self.measured.summary["tiers"])
        return tuple(tier_name(config) or name for config, name in zip(configs, names, strict=True))

    @property
    def machine(self) -> str:
        """The CPU that the times were taken on."""
        machine = self.measured.summary["machine"]
        cores = machine.get("physical_cores") or machine.get("cores")
        parts = [str(machine.get("cpu", "unknown CPU")), *([f"{cores} cores"] if cores else [])]
        return ", ".join(parts)

    @property
    def sizes(self) -> tuple[float | None, float | None, float]:
        """Unlabelled, train and test examples; None where the run does not say."""
        manifests = read_json_files(self.folder, "manifest.json").values()
        rows = [manifest["rows"] for manifest in manifests if "rows" in manifest]
        # a recipe's run without a transfer set was distilled on the train role alone
        unlabelled = max(rows) if rows else (0 if read_json_files(self.folder, "stage.json") else None)
        summary = self.measured.summary
        train = re.search(r"([\d,]+) rows", str((summary.get("roles") or {}).get("train", "")))
        return unlabelled, int(train[1].replace(",", "")) if train else None, summary["n"]


@dataclass(frozen=True)
class Row:
    """One row of the tables, one panel of the figures: the paper's numbers, a run of ours, or both."""

    name: str
    published: Published | None
    run: Run | None

    @property
    def others(self) -> list[str]:
        """The paper's tiers that are not the run's; none where there is nothing to compare."""
        if self.published is None or self.run is None:
            return []
        return [theirs for ours, theirs in zip(self.run.tiers, self.published.tiers, strict=True) if ours != theirs]

    @property
    def source(self) -> str:
        """What the run's numbers are of: data, number of examples, tiers, machine, folder."""
        summary = self.run.measured.summary
        tiers = " → ".join(self.run.tiers) + (f" (the paper: {', '.join(self.others)})" if self.others else "")
        busy = ", busy with other work" if self.run.measured.busy else ""
        return (
            f"{self.name}: {summary['split']}, n = {summary['n']:,}; {tiers}; times on {self.run.machine}{busy}; "
            f"from `{self.run.folder}`"
        )


def read_rows(folders: Sequence[Path]) -> list[Row]:
    """The paper's rows in its order, each with its run if there is one; below, each run of other data.

    Raises:
        UserError: a folder is missing or given twice, a run is not finished, or two runs belong to one row.
    """
    taken: dict[str, Run] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder. Give the folders of finished runs, for instance runs/sst2.")
        run = Run(folder, read_measured(folder / "cascade"))
        name = _row_of(run) or folder.resolve().name
        if name in taken:
            raise UserError(
                f"Two runs for the row {name}: {taken[name].folder} and {folder}. Leave one of them out, "
                "or write each into a folder of its own with --output."
            )
        taken[name] = run
    rows = [Row(each.row, each, taken.pop(each.row, None)) for each in PUBLISHED]
    return rows + [Row(name, None, run) for name, run in taken.items()]


def tier_name(config: Mapping[str, Any]) -> str | None:
    """A model in words: the usual name of its shape, else its family, layers and width; None where it does not say.

    >>> tier_name({"model_type": "bert", "num_hidden_layers": 6, "hidden_size": 384})
    'MiniLM-L6'
    >>> tier_name({"model_type": "mpnet", "num_hidden_layers": 12, "hidden_size": 768})
    'MPNet 12×768'
    >>> tier_name({"model_type": "dynamic_tinybert", "num_hidden_layers": 4, "hidden_size": 312})
    'Dynamic-TinyBERT4'
    """
    family, layers, width = (config.get(key) for key in ("model_type", "num_hidden_layers", "hidden_size"))
    if family is None:
        return None
    if family.startswith("dynamic"):
        return f"Dynamic-TinyBERT{layers or ''}"
    name = FAMILY_NAMES.get(family, family)
    return KNOWN_SHAPES.get((family, layers, width)) or (f"{name} {layers}×{width}" if layers else name)


def _row_of(run: Run) -> str | None:
    """The paper's row that a run belongs to. MRPC has two: the recipe's name tells, else the second tier's family."""
    task = str(run.measured.summary["task"])
    rows = [each for each in PUBLISHED if each.task == task]
    if len(rows) < 2:
        return rows[0].row if rows else None
    by_recipe = {f"{each.task}_{each.tiers[1].lower()}": each.row for each in rows}
    for name in (_logged_name(run.folder), run.folder.resolve().name):
        if found := [row for recipe, row in by_recipe.items() if name.startswith(recipe)]:
            return found[0]
    family = _read_json(run.folder / "cascade" / "tier2" / "config.json").get("model_type")
    return by_recipe.get(f"{task}_{family}")


def _logged_name(run: Path) -> str:
    """What the recipe calls its cascade stage in W&B, for instance `mrpc_bert-cascade`; else nothing."""
    try:
        config = yaml.safe_load((run / "cascade" / "config.yaml").read_text(encoding="utf-8"))
        return str(config["trainer"]["logger"]["init_args"]["name"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}

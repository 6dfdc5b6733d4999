"""cascade.json and the tier folders beside it: written atomically, movable as a whole."""

import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tangodistill.data.contents import SMALL_FILES
from tangodistill.engines.tier_record import EXPORT_RECORD, GRAPHS, TierRecord
from tangodistill.predictor.setup import Setup
from tangodistill.user_error import UserError

FORMAT_VERSION = 3
RECORD_NAME = "cascade.json"


@dataclass
class OperatingPoint:
    """What a cascade's tiers but the last defer below, with the engines that this was chosen with."""

    keys: list[str]
    thresholds: list[float | None]
    """None: the tier is left out, its texts go to the next one at once."""


@dataclass
class CascadeRecord:
    """The contents of cascade.json."""

    task: str
    text_columns: list[str]
    label_names: list[str]  # the order of the cascade's logits, whatever each tier's own
    tiers: list[TierRecord]
    score: str = "max_probability"
    points: list[OperatingPoint] = field(default_factory=list)  # one for each choice of engines
    chosen: dict[str, Any] = field(default_factory=dict)  # the operating point, its target, and what it was chosen on
    calibrated: Setup | None = None  # what the thresholds were chosen with; None: not recorded
    tuned_on: str = ""  # the CPU that threads and batch sizes were found on
    format_version: int = FORMAT_VERSION

    @property
    def keys(self) -> list[str]:
        """Of each tier, cheapest first."""
        return [tier.key for tier in self.tiers]

    @property
    def point(self) -> OperatingPoint:
        """The one that was chosen with these tiers' engines, but for the last one's: others' thresholds don't hold."""
        keys = self.keys[:-1]
        for point in self.points:
            if point.keys == keys:
                return point
        known = ", ".join(" and ".join(point.keys) for point in self.points) or "none"
        raise UserError(
            f"the cascade has no threshold for {' and '.join(keys)} (it has {known}): confidences differ between "
            "engines. Run `python -m tangodistill choose` on the folder."
        )

    def put(self, thresholds: Sequence[float | None]) -> None:
        """Thresholds for these tiers' engines, in place of those they had."""
        mine = OperatingPoint(self.keys[:-1], list(thresholds))
        self.points = [point for point in self.points if point.keys != mine.keys] + [mine]


def write_cascade(
    folder: str | Path,
    record: CascadeRecord,
    tier_folders: Sequence[str | Path],
    exported: str | Path | None = None,
) -> None:
    """Put each tier's files at its record's `path` in `folder`, then the record; a killed write leaves the old record.

    Weights are hard links where the file system allows (savers replace a weights file, never rewrite it), else copies.

    Args:
        tier_folders: models and tokenizers.
        exported: what `export` wrote of these tiers; None: the graphs in the tiers' own folders, if any.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for tier, source in zip(record.tiers, tier_folders, strict=True):
        graphs = Path(exported) / tier.path if exported else Path(source)
        _place_tier(Path(source), graphs / GRAPHS, folder / tier.path)
    if exported:
        shutil.copyfile(Path(exported) / EXPORT_RECORD, folder / EXPORT_RECORD)  # what `tune` may choose from
    write_record(folder, record)


def write_record(folder: str | Path, record: CascadeRecord) -> None:
    """Replace cascade.json in one step."""
    for point in record.points:
        if not all(threshold is None or math.isfinite(threshold) for threshold in point.thresholds):
            raise ValueError(f"thresholds of {point.keys} are {point.thresholds}; JSON holds finite numbers only")
    path = Path(folder) / RECORD_NAME
    temporary = path.with_name(f".{RECORD_NAME}.{os.getpid()}")
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_cascade(folder: str | Path) -> CascadeRecord:
    """The record of a cascade folder.

    Raises:
        UserError: no cascade.json, damaged JSON, another format version, a key missing or unknown, a tier gone or
            outside the folder.
    """
    path = Path(folder) / RECORD_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{path} is missing. A cascade folder is what the cascade stage writes: runs/<name>/cascade."
        ) from None
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}). Run the cascade stage, or copy the folder, again."
        ) from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version == 1:
        content = _of_version_1(content)
    if version in (1, 2):
        content = _of_version_2(content, path)
    elif version != FORMAT_VERSION:
        raise UserError(f"{path} has format_version {version!r}; this tangodistill reads 1 to {FORMAT_VERSION}.")
    record = _build(CascadeRecord, content, path)
    try:
        record.calibrated = record.calibrated and Setup.of(record.calibrated)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: calibrated is no setup ({error}). Run the cascade stage again.") from error
    tiers = record.tiers if isinstance(record.tiers, list) else [record.tiers]
    record.tiers = [_build(TierRecord, tier, path) for tier in tiers]
    record.points = [_checked(_build(OperatingPoint, point, path), len(tiers), path) for point in record.points]
    if len(tiers) < 2:
        raise UserError(f"{path} names {len(tiers)} tier; a cascade has two or more. Run the cascade stage again.")
    for tier in record.tiers:
        if not _is_inside(tier.path, path.parent):
            raise UserError(
                f"{path}: the tier folder {tier.path!r} does not lie in the cascade's own folder. Move it there, and "
                "give its path from there, such as 'tier1'."
            )
        if not (path.parent / tier.path / "config.json").is_file():
            raise UserError(
                f"{path} names the tier folder {tier.path!r}, which is not beside it, or is empty. "
                "Copy the whole folder."
            )
        if not _is_length_configuration(tier.length_configuration):
            raise UserError(
                f"{path}: length_configuration of {tier.path} is {tier.length_configuration!r}; give a list such as "
                "[1, 0.6, 0.3, 0.1], or null for the tier's own."
            )
    return record


def _checked(point: OperatingPoint, tiers: int, path: Path) -> OperatingPoint:
    found = point.thresholds
    numbers = isinstance(found, list) and all(each is None or isinstance(each, int | float) for each in found)
    if not numbers or len(found) != tiers - 1 or len(point.keys) != tiers - 1:
        raise UserError(
            f"{path}: a cascade of {tiers} tiers has one threshold for each tier but the last, {tiers - 1} in all, and "
            f"as many keys; found thresholds {found!r} and keys {point.keys!r}. Run `python -m tangodistill choose` on "
            "it again."
        )
    return point


def _of_version_2(content: dict, path: Path) -> dict:
    """Two tiers, and a threshold for each engine of the first."""
    thresholds = content.get("thresholds", {})
    for key, threshold in thresholds.items():
        if not isinstance(threshold, int | float):
            raise UserError(
                f"{path}: format_version {content['format_version']} has one threshold for {key}, found {threshold!r}. "
                "Run the cascade stage again."
            )
    points = [{"keys": [key], "thresholds": [threshold]} for key, threshold in thresholds.items()]
    kept = {name: value for name, value in content.items() if name != "thresholds"}
    return {**kept, "format_version": FORMAT_VERSION, "points": points}


def _of_version_1(content: dict) -> dict:
    """Its thresholds were chosen with engines that it names, and it doesn't say on what CPU, nor with what weights."""
    content = dict(content)
    keys, content["tuned_on"] = content.pop("calibrated_with", []), content.pop("cpu", "")
    return content | ({"calibrated": {"tiers": [{"key": key} for key in keys]}} if keys else {})


def _is_inside(tier: object, folder: Path) -> bool:
    """Whether a tier's path leads to a place below the folder, its symbolic links followed: `export` writes there."""
    return (
        isinstance(tier, str)
        and not Path(tier).is_absolute()
        and ".." not in Path(tier).parts
        and folder.resolve() in (folder / tier).resolve().parents
    )


def _is_length_configuration(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(share, int | float) for share in value))


def _place_tier(source: Path, graphs: Path, target: Path) -> None:
    if source.resolve() == target.resolve():
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name in SMALL_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, temporary / name)
    for weights in sorted(source.glob("*.safetensors")):
        _link_or_copy(weights.resolve(), temporary / weights.name)
    for file in sorted(path for path in graphs.rglob("*") if path.is_file()):
        copy = temporary / GRAPHS / file.relative_to(graphs)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(file.resolve(), copy)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _build(record_type: type, content: object, path: Path) -> Any:
    """A dataclass from a JSON object, with every key accounted for."""
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an object with {record_type.__name__}'s keys, found {content!r}.")
    known = sorted(entry.name for entry in fields(record_type))
    if unknown := sorted(set(content) - set(known)):
        raise UserError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(known)}.")
    try:
        return record_type(**content)
    except TypeError as error:  # "... missing 1 required positional argument: 'task'"
        raise UserError(f"{path}: {str(error).partition('() ')[2]}. Run the cascade stage again.") from error

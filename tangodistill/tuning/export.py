"""Tiers in the formats of faster engines, each checked against PyTorch before it may answer."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tangodistill.data.contents import model_hash
from tangodistill.data.sources import DatasetConfig
from tangodistill.engines.engine_key import engine_key, lengths_name, split_key
from tangodistill.engines.exported import GRAPH_OF, TOKENIZER, graphs_folder, write_facts
from tangodistill.engines.graphs import first_cause, write_graphs
from tangodistill.engines.loading import BATCH_DEPENDENT, PRECISIONS
from tangodistill.engines.tier_folder import load_tier
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.models.dynamic_tinybert import DynamicBert
from tangodistill.models.length_configuration import Lengths, checked
from tangodistill.predictor.answers import check_finite, is_finite
from tangodistill.progress import Progress
from tangodistill.tuning.agreements import Agreement, write_agreements
from tangodistill.tuning.length_front import read_front
from tangodistill.tuning.tier_set import TierSet
from tangodistill.user_error import UserError

RANGE_TEXTS = 256  # that ranges are read off
CONFIGURATIONS = 4  # of lengths, beside the full network
ALL = tuple(f"{engine}-{kind}" for engine, kinds in PRECISIONS.items() for kind in kinds)[1:]
Format = Literal[*ALL]


def export(
    cascade: str | None = None,
    tiers: list[str] | None = None,
    dataset: DatasetConfig | None = None,
    output: str | None = None,
    formats: list[Format] = list(ALL),  # noqa: B006 (shown as the default)
    max_drop: float = 0.002,
    min_same: float = 0.995,
    lengths: str | None = None,
) -> Path:
    """Write all tiers in the formats of faster engines, and keep those that agree with PyTorch.

    Give a finished cascade folder; or, as recipes do, the tiers, the data and an output folder. Each format answers
    the selection role; one that loses more than allowed is refused and its file removed. `tune` then finds the
    fastest that is left.

    Args:
        cascade: a cascade folder, for instance runs/demo/cascade.
        tiers: folders of the models, cheapest first, the teacher last.
        dataset: the labelled data.
        output: where the formats go, instead of the cascade folder.
        formats: engines and precisions. int8 takes its ranges from each batch, so it is for the last tier only;
            int8_static takes them from selection texts.
        max_drop: of the task's metric, that a format may lose.
        min_same: share of the examples that must get the label that PyTorch gives.
        lengths: what `search` wrote of the tier that is a Dynamic-TinyBERT: it is written in at most four length
            configurations more, spread over the search's front, and each format must agree with PyTorch in its own.

    Raises:
        UserError: neither form is given in full, a tier or the search can't be read, or no tier is a Dynamic-TinyBERT.
    """
    chosen, folder = _work(cascade, tiers, dataset, output)
    configurations = _configurations(chosen, lengths) if lengths else {}
    jobs = [(tier, shares) for tier in chosen.numbers for shares in (None, *configurations.get(tier, ()))]
    found: list[Agreement] = []
    weights = {tier: model_hash(path) for tier, path in enumerate(chosen.tiers, 1)}
    with Progress("export", len(jobs)) as progress:
        for tier, shares in jobs:
            found += _export_tier(chosen, tier, shares, formats, max_drop, min_same)
            progress.advance(note=f"tier {tier}")
    for row in found:
        row.weights = weights[row.tier]
    write_agreements(folder, found)
    _show(found, chosen.metric_title)
    return folder


def by_lengths(rows: Iterable[Any]) -> dict[str, list[Any]]:
    """Rows with a tier and a key, under a title for each tier and length configuration."""
    groups: dict[str, list[Any]] = {}
    for row in rows:
        lengths = split_key(row.key)[2]
        title = f"tier {row.tier}" + (f", lengths {lengths_name(lengths)}" if lengths else "")
        groups.setdefault(title, []).append(row)
    return groups


def _work(cascade, tiers, dataset, output) -> tuple[TierSet, Path]:
    stage = (tiers, dataset, output)
    if cascade is not None and not any(value is not None for value in stage):
        return TierSet.of_cascade(cascade), Path(cascade)
    if cascade is None and all(value is not None for value in stage):
        return TierSet.of_stage(tiers, Path(output), dataset), Path(output)
    raise UserError(
        "Give a cascade folder, or all of --tiers, --dataset and --output: "
        "python -m tangodistill export runs/demo/cascade"
    )


def _configurations(tiers: TierSet, folder: str) -> dict[int, list[Lengths]]:
    """Tier -> the length configurations that it is exported in beside its own."""
    for tier, path in enumerate(tiers.tiers, 1):
        model = load_tier(path)[0]
        if isinstance(model, DynamicBert):
            layers = model.config.num_hidden_layers
            own = checked(model.config.length_configuration, layers)
            front = read_front(folder, layers)
            front.refuse_another(path)
            return {tier: [each for each in front.spread(CONFIGURATIONS) if each != own]}
    raise UserError(
        f"--lengths {folder}: none of {', '.join(map(str, tiers.tiers))} is a Dynamic-TinyBERT, and other models keep "
        "all tokens. Leave --lengths out."
    )


def _export_tier(
    tiers: TierSet, tier: int, lengths: Lengths | None, formats: list[str], max_drop: float, min_same: float
) -> list[Agreement]:
    """A tier in one length configuration; PyTorch itself runs any, so that it is among the formats of a further one."""
    reference = TorchEngine.load(tiers.tiers[tier - 1], max_length=tiers.max_length, length_configuration=lengths)
    wanted = [key for key in ALL if key in formats and _offered(key, not tiers.is_last(tier), reference)]
    failed = _write_graphs(
        tiers, tier, reference, {key.partition("-")[2] for key in wanted if not key.startswith("torch")}
    )
    expected = tiers.outputs(reference)
    check_finite(expected, tier)
    found = [_tried(tiers, tier, engine_key(*key.split("-"), lengths), expected, failed) for key in wanted]
    for row in found:
        row.refused = row.refused or _objection(row, tiers.metric_title, max_drop, min_same)
    _remove_refused(graphs_folder(tiers.exported[tier - 1], lengths), found)
    return found if lengths is None else [_agreement(tiers, tier, reference.key, expected, expected), *found]


def _offered(key: str, defers: bool, reference: TorchEngine) -> bool:
    """A tier that defers answers alike in every batch; of a recurrent one little can be quantised statically."""
    precision = key.partition("-")[2]
    recurrent = reference.facts.exact_length
    return not (defers and precision in BATCH_DEPENDENT) and not (recurrent and precision.startswith("int8"))


def _tried(tiers: TierSet, tier: int, key: str, expected: np.ndarray, failed: dict[str, str]) -> Agreement:
    """How a format answers; one that can't be written or run is refused with the reason, and the others go on."""
    engine, precision, _ = split_key(key)
    reason = None if engine == "torch" else failed.get(precision)
    if reason is None:
        try:
            return _agreement(tiers, tier, key, tiers.outputs(tiers.engine(tier, key)), expected)
        except Exception as error:  # those of the engines share no base class
            reason = f"can't be run ({first_cause(error)})"
    return Agreement(tier, key, None, tiers.score(expected), None, None, reason)


def _write_graphs(tiers: TierSet, tier: int, reference: TorchEngine, precisions: set[str]) -> dict[str, str]:
    """Precision -> why its graph can't be written, of those that can't.

    The folder appears whole; graphs of an earlier export are gone, with those of all length configurations.
    """
    if not precisions:
        return {}
    final = graphs_folder(tiers.exported[tier - 1], reference.length_configuration)
    work = final.with_name(f".{final.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sides = ["a b c", "a b c d"], None if tiers.pairs is None else ["e", "f g"]
    example = reference.encoder.encode(*sides).batch([0, 1])
    if reference.facts.exact_length:
        example = {"input_ids": example["input_ids"]}
    ranges = tiers.batches(reference, 16, RANGE_TEXTS)
    failed = write_graphs(reference.model, example, ranges, work, precisions)
    if reference.length_configuration is None:  # these hold for all
        write_facts(work, replace(reference.facts, weights=model_hash(tiers.tiers[tier - 1])))
        reference.encoder.save(work / TOKENIZER)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(work, final)
    return failed


def _agreement(tiers: TierSet, tier: int, key: str, outputs: np.ndarray, expected: np.ndarray) -> Agreement:
    finite = is_finite(outputs)
    outputs = np.where(finite[:, None], outputs, 0)  # counted as some answer, which costs nothing: it is refused
    return Agreement(
        tier=tier,
        key=key,
        metric=tiers.score(outputs),
        torch_metric=tiers.score(expected),
        same_labels=float(tiers.readout.same(outputs, expected).mean()),
        max_difference=tiers.readout.difference(outputs, expected),
        not_finite=int((~finite).sum()),
    )


def _objection(row: Agreement, metric_title: str, max_drop: float, min_same: float) -> str | None:
    if row.not_finite:
        return f"gives no finite numbers for {row.not_finite} of the examples"
    if row.torch_metric - row.metric > max_drop:
        return f"loses {row.torch_metric - row.metric:.4f} of {metric_title}; {max_drop:.4g} is allowed"
    if row.same_labels < min_same:
        return f"gives {row.same_labels:.2%} the same label; {min_same:.2%} is needed"
    return None


def _remove_refused(folder: Path, found: list[Agreement]) -> None:
    """Graphs that no accepted format runs."""
    accepted = [split_key(row.key) for row in found if not row.refused]
    used = {GRAPH_OF[precision] for engine, precision, _ in accepted if engine != "torch"}
    for graph in folder.glob("*.onnx"):
        if graph.name not in used:
            graph.unlink()


def _show(found: list[Agreement], metric_title: str) -> None:
    console = Console()
    console.print("Formats against PyTorch fp32, on the selection role:")
    for title, rows in by_lengths(found).items():
        table = Table(title=title)
        for heading in ("format", escape(metric_title), "PyTorch", "same", "Δ logit", "kept"):
            table.add_column(heading, no_wrap=True)
        for row in rows:
            if row.metric is None:
                table.add_row(row.key.partition("@")[0], "–", f"{row.torch_metric:.4f}", "–", "–", "no")
                continue
            scores = f"{row.metric:.4f}", f"{row.torch_metric:.4f}"
            agreement = f"{row.same_labels:.1%}", f"{row.max_difference:.1g}"
            table.add_row(row.key.partition("@")[0], *scores, *agreement, "no" if row.refused else "yes")
        console.print(table)
    for row in found:
        if row.refused:
            print(f"Tier {row.tier}, {row.key} is refused: it {row.refused}.")

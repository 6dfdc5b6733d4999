"""From the train role to an unlabelled transfer set on disk."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.features import Features, Value

from tangodistill import __version__
from tangodistill.augment.generator import Generator
from tangodistill.augment.generators import check_generators
from tangodistill.augment.inspection import INSPECTION, inspect_set, read_confidence, write_inspection
from tangodistill.augment.inspection_tables import print_inspection
from tangodistill.augment.mask_fill import MaskFillConfig
from tangodistill.augment.nlpaug_bridge import NlpaugConfig
from tangodistill.augment.plan import plan_shards, prepare
from tangodistill.augment.rules import RulesConfig
from tangodistill.augment.sample_lm import SampleLmConfig
from tangodistill.augment.selection import Limits, kept_tables, select
from tangodistill.augment.shards import Shard, text_hashes, write_shard
from tangodistill.augment.tagger import tagger_name
from tangodistill.augment.workers import worker_map
from tangodistill.data.contents import model_hash
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import HELD_OUT, Roles, load_roles
from tangodistill.data.transfer import MANIFEST, load_transfer_set, write_transfer_set
from tangodistill.latency.cores import available_cores
from tangodistill.progress import Progress, track
from tangodistill.user_error import UserError


def augment(
    dataset: DatasetConfig,
    output: str,
    rules: RulesConfig | None = RulesConfig(),  # noqa: B008  frozen
    nlpaug: NlpaugConfig | None = None,
    mask_fill: MaskFillConfig | None = None,
    lm: SampleLmConfig | None = None,
    include_original: bool = True,
    max_texts: int | None = None,
    max_per_text: int | None = None,
    seed: int = 0,
    workers: int | Literal["ray"] | None = None,
    shard: str | None = None,
    inspect: bool = False,
) -> Path:
    """Make a transfer set: new texts, without labels, without doubles, without held-out texts.

    Only the train role is read from. A run that was cut off goes on where it was and ends with the same bytes, however
    many workers, processes or machines it has.

    Args:
        dataset: the labelled data whose train role is varied.
        output: folder to write; datasets.load_from_disk reads it.
        rules: masking, same-part-of-speech replacement and n-gram sampling; null for none.
        nlpaug: an augmenter of nlpaug.
        mask_fill: words replaced by what a masked language model, or GloVe's neighbourhood, puts there.
        lm: texts sampled from a causal language model.
        include_original: whether the training texts themselves belong to the set.
        max_texts: keep at most so many: the training texts, and a random choice of the others, by the generators'
            shares where they have any.
        max_per_text: keep at most so many variants of one training text.
        seed: of every random choice.
        workers: processes; by default one per core at hand. ray: the tasks of a Ray cluster, or of this machine.
        shard: i/n, for instance 2/8: make every n-th part only, beside others that make theirs in the same folder. A
            run without it then puts the set together.
        inspect: also print what is in the set; it is written to inspection.json either way.

    Raises:
        UserError: bad data, an unknown augmenter or argument, a missing package or model, nothing to generate.
    """
    generators = [generator for generator in (rules, nlpaug, mask_fill, lm) if generator is not None]
    check_generators(generators)
    _check(max_texts, max_per_text, seed, workers)
    limits = Limits(include_original, max_texts, max_per_text)
    part, roles = _part(shard), load_roles(dataset)
    folder = augment_roles(roles, Path(output), generators, limits, seed, workers or available_cores(), part)
    if inspect and shard is None:
        print_inspection(json.loads((folder / INSPECTION).read_text(encoding="utf-8")), read_confidence(folder))
    return folder


def augment_roles(
    roles: Roles,
    output: Path,
    generators: list[Generator],
    limits: Limits,
    seed: int,
    workers: int | Literal["ray"],
    part: tuple[int, int] = (1, 1),
) -> Path:
    """``augment`` for data whose roles are assigned."""
    columns = ["text", "text_pair"] if roles.task.is_pair else ["text"]
    sources = pa.table({name: pa.array(roles.train[name][:], pa.string()) for name in columns})
    held_out = np.concatenate([_hashes(getattr(roles, role), columns) for role in HELD_OUT])
    settings = _settings(roles, generators, limits, seed)
    key = _key(settings, sources, held_out)
    if _key_of(output) != key:
        work = _work_folder(output, key)
        with worker_map(workers) as parallel_map:
            shards = _planned(work, sources, generators, seed, settings["tagger"] is not None, parallel_map)
            number, of = part
            own = shards[number - 1 :: of]
            for _ in track(parallel_map(write_shard, own), "augment", len(own)):
                pass
        if of > 1:
            done = sum(shard.path.exists() for shard in shards)
            print(f"Shard {number}/{of} is done; {done} of {len(shards)} parts are there. Run without --shard to join.")
            return output
        originals = text_hashes(*(column.to_pylist() for column in sources.columns))
        with Progress("select texts"):
            selection = select(originals, shards, held_out, limits, seed)
        features = Features({name: Value("string") for name in columns})
        manifest = {**settings, **selection.counts, "key": key}
        write_transfer_set(output, kept_tables(sources, shards, selection), features, manifest)
    shutil.rmtree(output / ".shards", ignore_errors=True)
    if not (output / INSPECTION).is_file():
        rows, _ = load_transfer_set(output, labelled=False)
        report, held_out = (
            pa.table({name: pa.array(role[name][:], pa.string()) for name in columns})
            for role in (roles.report, roles.selection)
        )
        write_inspection(output, inspect_set(rows, sources, report, held_out))
    return output


def _key_of(output: Path) -> str | None:
    """What a finished set was made of."""
    path = output / MANIFEST
    return json.loads(path.read_text(encoding="utf-8"))["key"] if path.is_file() else None


def _planned(
    work: Path, sources: pa.Table, generators: list[Generator], seed: int, needs_tags: bool, parallel_map: Callable
) -> list[Shard]:
    words_per_row, pairs = prepare(work, sources, needs_tags, parallel_map), sources.num_columns == 2
    return [
        shard
        for generator in generators
        for shard in plan_shards(work, generator, words_per_row, generator.draws(pairs), seed)
    ]


def _check(max_texts: int | None, max_per_text: int | None, seed: int, workers: int | str | None) -> None:
    for name, value, least in (
        ("max_texts", max_texts, 1),
        ("max_per_text", max_per_text, 1),
        ("seed", seed, 0),
        ("workers", workers, 1),
    ):
        if isinstance(value, int) and value < least:
            raise UserError(f"{name} is {value}: it must be at least {least}.")


def _part(shard: str | None) -> tuple[int, int]:
    """`2/8` as (2, 8); everything is (1, 1)."""
    if shard is None:
        return 1, 1
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    part = tuple(map(int, found.groups())) if found else (0, 0)
    if not 1 <= part[0] <= part[1]:
        raise UserError(f"shard is {shard!r}: give i/n with i from 1 to n, for instance 2/8.")
    return part


def _hashes(rows: Dataset, columns: list[str]) -> np.ndarray:
    return text_hashes(*(rows[name][:] for name in columns))


def _settings(roles: Roles, generators: list[Generator], limits: Limits, seed: int) -> dict[str, Any]:
    """Everything but the texts that the result depends on; it opens the manifest."""
    pairs = roles.task.is_pair
    files = {each.name: held for each in generators if (held := _files_of(asdict(each)))}
    return {
        "version": __version__,
        "task": roles.task.name,
        "seed": seed,
        **asdict(limits),
        "settings": {each.name: {**asdict(each), "draws_per_text": each.draws(pairs)} for each in generators},
        "files": files,
        "tagger": tagger_name() if any(each.needs_tags for each in generators) else None,
    }


def _files_of(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Key -> hash of each model or file here that a generator's settings name: a path says nothing of its contents."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= _files_of(value, f"{prefix}{key}.")
        elif isinstance(value, str) and Path(value).exists():
            found[f"{prefix}{key}"] = model_hash(value)
    return found


def _key(settings: dict[str, Any], sources: pa.Table, held_out: np.ndarray) -> str:
    """Names the result: shards and sets with equal keys are equal."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for column in sources.columns:
        for text in column.to_pylist():
            digest.update(f"{len(text)}\0{text}".encode())
    digest.update(held_out.tobytes())
    return digest.hexdigest()


def _work_folder(output: Path, key: str) -> Path:
    """The folder of this key's shards; what was left by a run with another key is thrown away."""
    work = output / ".shards" / key[:16]
    for name in (MANIFEST, INSPECTION):
        (output / name).unlink(missing_ok=True)
    for other in (output / ".shards").glob("*"):
        if other != work:
            shutil.rmtree(other)
    work.mkdir(parents=True, exist_ok=True)
    return work

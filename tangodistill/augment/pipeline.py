"""From the train role to an unlabelled transfer set on disk."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.features import Features, Value
from rich.progress import track

from tangodistill import __version__
from tangodistill.augment.nlpaug_bridge import NlpaugConfig, check_augmenter
from tangodistill.augment.plan import plan_shards, prepare
from tangodistill.augment.rules import RulesConfig, check_rules
from tangodistill.augment.selection import kept_tables, select
from tangodistill.augment.shards import generator_name, text_hashes, write_shard
from tangodistill.augment.tagger import tagger_name
from tangodistill.augment.workers import worker_map
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import HELD_OUT, Roles, load_roles
from tangodistill.data.transfer import MANIFEST, write_transfer_set
from tangodistill.user_error import UserError

DRAWS_SINGLE, DRAWS_PAIR = 20, 10


def augment(
    dataset: DatasetConfig,
    output: str,
    rules: RulesConfig | None = RulesConfig(),  # noqa: B008  frozen
    nlpaug: NlpaugConfig | None = None,
    include_original: bool = True,
    max_texts: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Make a transfer set: variants of the training texts, without labels, without doubles, without held-out texts.

    Only the train role is read from. A run that was cut off goes on where it was and ends with the same bytes, however
    many workers it has.

    Args:
        dataset: the labelled data whose train role is varied.
        output: folder to write; datasets.load_from_disk reads it.
        rules: masking, same-part-of-speech replacement and n-gram sampling; null for none.
        nlpaug: an augmenter of nlpaug, as a second generator.
        include_original: whether the training texts themselves belong to the set.
        max_texts: keep at most so many: the training texts, and a random choice of the others.
        seed: of every random choice.
        workers: processes; by default one per core at hand.

    Raises:
        UserError: bad data, an unknown augmenter or argument, a missing package, nothing to generate.
    """
    generators = [generator for generator in (rules, nlpaug) if generator is not None]
    _check(generators, max_texts, seed, workers)
    return augment_roles(
        load_roles(dataset), Path(output), generators, include_original, max_texts, seed, workers or _cores()
    )


def augment_roles(
    roles: Roles,
    output: Path,
    generators: list[RulesConfig | NlpaugConfig],
    include_original: bool,
    max_texts: int | None,
    seed: int,
    workers: int,
) -> Path:
    """``augment`` for data whose roles are assigned."""
    columns = ["text", "text_pair"] if roles.task.is_pair else ["text"]
    sources = pa.table({name: pa.array(roles.train[name][:], pa.string()) for name in columns})
    held_out = np.concatenate([_hashes(getattr(roles, role), columns) for role in HELD_OUT])
    settings = _settings(roles, generators, include_original, max_texts, seed)
    key = _key(settings, sources, held_out)
    if (output / MANIFEST).is_file() and json.loads((output / MANIFEST).read_text(encoding="utf-8"))["key"] == key:
        shutil.rmtree(output / ".shards", ignore_errors=True)
        return output
    work = _work_folder(output, key)
    with worker_map(workers) as parallel_map:
        words_per_row = prepare(work, sources, settings["tagger"] is not None, parallel_map)
        shards = [
            shard
            for generator in generators
            for shard in plan_shards(work, generator, words_per_row, _draws(generator, roles), seed)
        ]
        for _ in track(parallel_map(write_shard, shards), description="augment", total=len(shards)):
            pass
    originals = text_hashes(*(column.to_pylist() for column in sources.columns))
    selection = select(originals, shards, held_out, include_original, max_texts, seed)
    features = Features({name: Value("string") for name in columns})
    manifest = {**settings, **selection.counts, "key": key}
    write_transfer_set(output, kept_tables(sources, shards, selection), features, manifest)
    shutil.rmtree(output / ".shards")
    return output


def _check(generators: list, max_texts: int | None, seed: int, workers: int | None) -> None:
    if not generators:
        raise UserError("rules and nlpaug are both null: nothing would be generated. Give at least one of them.")
    for name, value, least in (("max_texts", max_texts, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value is not None and value < least:
            raise UserError(f"{name} is {value}: it must be at least {least}.")
    for generator in generators:
        check_rules(generator) if isinstance(generator, RulesConfig) else check_augmenter(generator)


def _draws(generator: RulesConfig | NlpaugConfig, roles: Roles) -> int:
    return generator.draws_per_text or (DRAWS_PAIR if roles.task.is_pair else DRAWS_SINGLE)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _hashes(rows: Dataset, columns: list[str]) -> np.ndarray:
    return text_hashes(*(rows[name][:] for name in columns))


def _settings(
    roles: Roles, generators: list, include_original: bool, max_texts: int | None, seed: int
) -> dict[str, Any]:
    """Everything but the texts that the result depends on; it opens the manifest."""
    return {
        "version": __version__,
        "task": roles.task.name,
        "seed": seed,
        "include_original": include_original,
        "max_texts": max_texts,
        "settings": {
            generator_name(generator): {**asdict(generator), "draws_per_text": _draws(generator, roles)}
            for generator in generators
        },
        "tagger": tagger_name() if any(isinstance(generator, RulesConfig) for generator in generators) else None,
    }


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
    (output / MANIFEST).unlink(missing_ok=True)
    for other in (output / ".shards").glob("*"):
        if other != work:
            shutil.rmtree(other)
    work.mkdir(parents=True, exist_ok=True)
    return work

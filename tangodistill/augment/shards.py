"""Shards: the variants of a run of source rows, each written by a worker process on its own.

A shard depends on the sources, the generator's settings, the seed and its own number alone, so neither the number of
workers nor an interruption changes it.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tangodistill.augment import nlpaug_bridge, rules
from tangodistill.augment.corpus import Corpus
from tangodistill.augment.nlpaug_bridge import NlpaugConfig
from tangodistill.augment.rules import RulesConfig
from tangodistill.data.leaks import normalise

SOURCES = "sources.arrow"
CORPUS = "corpus.arrow"


@dataclass(frozen=True)
class Shard:
    """One task of a worker: source rows ``start`` up to ``stop``, each varied ``draws`` times by one generator."""

    folder: Path
    generator: RulesConfig | NlpaugConfig
    number: int
    start: int
    stop: int
    draws: int
    seed: int

    @property
    def path(self) -> Path:
        return self.folder / f"{generator_name(self.generator)}-{self.number:06d}.arrow"


def generator_name(generator: RulesConfig | NlpaugConfig) -> str:
    return "rules" if isinstance(generator, RulesConfig) else "nlpaug"


def text_hashes(texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
    """(n,) uint64, equal where texts (whole pairs, if there are pairs) are equal after normalising.

    Two different ones among 100 million share a hash with probability 0.0003, and then one of them is lost.
    """
    keys = map(normalise, texts)
    if pairs is not None:
        keys = (f"{first}\0{second}" for first, second in zip(keys, map(normalise, pairs), strict=True))
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype="<u8")


def write_shard(shard: Shard) -> None:
    """Make a shard's variants and write them, with their hashes and counts, unless that is done already.

    The file has the text columns and ``hash``; its schema's metadata hold ``counts``: ``draws``, and of these
    ``all_replaced`` (no source word left) and ``duplicates`` (of a text before it in the shard), which are left out.
    """
    if shard.path.exists():
        return
    sources = _sources(shard.folder).slice(shard.start, shard.stop - shard.start).combine_chunks()
    name = generator_name(shard.generator)
    rng = np.random.default_rng([shard.seed, *name.encode(), shard.number])
    columns, all_replaced = _vary_rows(shard, sources, rng)
    table = pa.table(columns).filter(pa.array(~all_replaced))
    hashes = text_hashes(*(column.to_pylist() for column in table.columns))
    first = np.sort(np.unique(hashes, return_index=True)[1])
    counts = {
        "draws": len(all_replaced),
        "all_replaced": int(all_replaced.sum()),
        "duplicates": len(hashes) - len(first),
    }
    table = table.take(pa.array(first)).append_column("hash", pa.array(hashes[first]))
    write_table(shard.path, table.replace_schema_metadata({"counts": json.dumps(counts)}))


def _vary_rows(shard: Shard, sources: pa.Table, rng: np.random.Generator) -> tuple[dict[str, pa.Array], np.ndarray]:
    """Text columns of all draws, row by row, and (n,) bool: a varied text has no word of its source left.

    Of a pair, one third of the draws varies the first side, one third the second, one third both; the other side stays
    as it was.
    """
    rows = np.repeat(np.arange(shard.stop - shard.start), shard.draws)
    all_replaced = np.zeros(len(rows), dtype=bool)
    thirds = rng.integers(0, 3, len(rows)) if sources.num_columns == 2 else np.full(len(rows), 2)
    columns = {}
    for side, name in enumerate(sources.column_names):
        originals = sources[name].combine_chunks()
        varied = np.flatnonzero((thirds == side) | (thirds == 2))
        if isinstance(shard.generator, RulesConfig):
            corpus = _corpus(shard.folder)
            first_row = side * (len(corpus.text_of_row) // sources.num_columns) + shard.start
            texts, none_left = rules.vary(corpus, first_row + rows[varied], shard.generator, rng)
            all_replaced[varied] |= none_left
        else:
            given = originals.take(pa.array(rows[varied])).to_pylist()
            texts = pa.array(nlpaug_bridge.vary(given, shard.generator, int(rng.integers(2**32))), pa.string())
        is_varied = np.zeros(len(rows), dtype=bool)
        is_varied[varied] = True
        columns[name] = pc.replace_with_mask(originals.take(pa.array(rows)), pa.array(is_varied), texts)
    return columns, all_replaced


def write_table(path: Path, table: pa.Table) -> None:
    """Write an Arrow file that is there whole or not at all."""
    unfinished = path.with_name(f"{path.name}.partial")
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=10_000)
    os.replace(unfinished, path)


def read_table(path: Path) -> pa.Table:
    """Map an Arrow file into memory."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


@lru_cache(maxsize=1)
def _sources(folder: Path) -> pa.Table:
    return read_table(folder / SOURCES)


@lru_cache(maxsize=1)
def _corpus(folder: Path) -> Corpus:
    return Corpus.from_table(read_table(folder / CORPUS))

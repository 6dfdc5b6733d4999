"""Shards: the variants of a run of source rows, each written by a worker process on its own.

A shard depends on the sources, the generator's settings, the seed and its own number alone, so neither the number of
workers nor an interruption changes it.
"""

import hashlib
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tangodistill.augment.corpus import Corpus
from tangodistill.augment.generator import Generator, SamplingGenerator, SideRows
from tangodistill.augment.sample_lm import PREFIX_TEXTS
from tangodistill.data.leaks import normalise

SOURCES = "sources.arrow"
CORPUS = "corpus.arrow"
SOURCE = "source"  # column: the source row that a text was made from


@dataclass(frozen=True)
class Shard:
    """One task of a worker: source rows ``start`` up to ``stop``, each varied ``draws`` times by one generator; of a
    generator that samples, samples ``start`` up to ``stop``."""

    folder: Path
    generator: Generator
    number: int
    start: int
    stop: int
    draws: int
    seed: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.generator.name}-{self.number:06d}.arrow"


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
    """Make a shard's texts and write them, with their hashes and counts, unless that is done already.

    The file has the text columns, ``source`` (the row that a text was made from, -1 for none) and ``hash``; its
    schema's metadata hold ``counts``: ``draws``, what the generator dropped of these and why, and ``duplicates`` (of a
    text before it in the shard), which are left out.
    """
    if shard.path.exists():
        return
    rng = np.random.default_rng([shard.seed, *shard.generator.name.encode(), shard.number])
    table, draws, dropped = (_sampled if isinstance(shard.generator, SamplingGenerator) else _varied)(shard, rng)
    hashes = text_hashes(*(table[name].to_pylist() for name in table.column_names if name != SOURCE))
    first = np.sort(np.unique(hashes, return_index=True)[1])
    counts = {"draws": draws, **dropped, "duplicates": len(hashes) - len(first)}
    table = table.take(pa.array(first)).append_column("hash", pa.array(hashes[first]))
    write_table(shard.path, table.replace_schema_metadata({"counts": json.dumps(counts)}))


def _sampled(shard: Shard, rng: np.random.Generator) -> tuple[pa.Table, int, dict[str, int]]:
    """Texts that stand by themselves."""
    sources, count = _sources(shard.folder), shard.stop - shard.start
    originals = [column.slice(0, PREFIX_TEXTS).to_pylist() for column in sources.columns]
    sides, dropped = shard.generator.write(count, originals, rng)
    columns = dict(zip(sources.column_names, (pa.array(side, pa.string()) for side in sides), strict=True))
    return pa.table({**columns, SOURCE: np.full(len(sides[0]), -1, np.int32)}), count, dropped


def _varied(shard: Shard, rng: np.random.Generator) -> tuple[pa.Table, int, dict[str, int]]:
    """Variants of the shard's source rows."""
    sources = _sources(shard.folder).slice(shard.start, shard.stop - shard.start).combine_chunks()
    columns, none_left = _vary_rows(shard, sources, rng)
    count = len(next(iter(columns.values())))
    rows = np.repeat(np.arange(shard.start, shard.stop, dtype=np.int32), shard.draws)
    table = pa.table({**columns, SOURCE: rows})
    if none_left is None:
        return table, count, {}
    return table.filter(pa.array(~none_left)), count, {"all_replaced": int(none_left.sum())}


def _vary_rows(
    shard: Shard, sources: pa.Table, rng: np.random.Generator
) -> tuple[dict[str, pa.Array], np.ndarray | None]:
    """Text columns of all draws, row by row, and (n,) bool where a varied text has no word of its source left, or None.

    Of a pair, one third of the draws varies the first side, one third the second, one third both; the other side stays
    as it was.
    """
    rows = np.repeat(np.arange(shard.stop - shard.start), shard.draws)
    thirds = rng.integers(0, 3, len(rows)) if sources.num_columns == 2 else np.full(len(rows), 2)
    columns, gone = {}, []
    for side, name in enumerate(sources.column_names):
        originals = sources[name].combine_chunks()
        is_varied = (thirds == side) | (thirds == 2)
        varied = rows[is_varied]
        texts, none_left = shard.generator.vary(_side(shard, originals, side, varied), rng)
        columns[name] = pc.replace_with_mask(originals.take(pa.array(rows)), pa.array(is_varied), texts)
        if none_left is not None:
            gone.append(np.zeros(len(rows), bool))
            gone[-1][is_varied] = none_left
    return columns, np.any(gone, axis=0) if gone else None


def _side(shard: Shard, originals: pa.Array, side: int, rows: np.ndarray) -> SideRows:
    """Of a shard's rows (n,), what a generator varies."""

    def in_corpus() -> tuple[Corpus, np.ndarray]:
        corpus, sides = _corpus(shard.folder), _sources(shard.folder).num_columns
        return corpus, side * (len(corpus.text_of_row) // sides) + shard.start + rows

    return SideRows(lambda: originals.take(pa.array(rows)).to_pylist(), in_corpus)


def write_table(path: Path, table: pa.Table) -> None:
    """Write an Arrow file that is there whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.partial")  # others may be at it too
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

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

from tangodistill.augment import mask_fill, nlpaug_bridge, rules, sample_lm
from tangodistill.augment.corpus import Corpus
from tangodistill.augment.generators import Generator, generator_name, samples
from tangodistill.augment.mask_fill import MaskFillConfig
from tangodistill.augment.rules import RulesConfig
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
        return self.folder / f"{generator_name(self.generator)}-{self.number:06d}.arrow"


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
    rng = np.random.default_rng([shard.seed, *generator_name(shard.generator).encode(), shard.number])
    table, draws, dropped = _sampled(shard, rng) if samples(shard.generator) else _varied(shard, rng)
    hashes = text_hashes(*(table[name].to_pylist() for name in table.column_names if name != SOURCE))
    first = np.sort(np.unique(hashes, return_index=True)[1])
    counts = {"draws": draws, **dropped, "duplicates": len(hashes) - len(first)}
    table = table.take(pa.array(first)).append_column("hash", pa.array(hashes[first]))
    write_table(shard.path, table.replace_schema_metadata({"counts": json.dumps(counts)}))


def _sampled(shard: Shard, rng: np.random.Generator) -> tuple[pa.Table, int, dict[str, int]]:
    """Texts that stand by themselves."""
    sources, count = _sources(shard.folder), shard.stop - shard.start
    sides, dropped = sample_lm.write_texts(
        count, [column.slice(0, sample_lm.PREFIX_TEXTS).to_pylist() for column in sources.columns], shard.generator, rng
    )
    columns = dict(zip(sources.column_names, (pa.array(side, pa.string()) for side in sides), strict=True))
    return pa.table({**columns, SOURCE: np.full(len(sides[0]), -1, np.int32)}), count, dropped


def _varied(shard: Shard, rng: np.random.Generator) -> tuple[pa.Table, int, dict[str, int]]:
    """Variants of the shard's source rows."""
    sources = _sources(shard.folder).slice(shard.start, shard.stop - shard.start).combine_chunks()
    columns, all_replaced = _vary_rows(shard, sources, rng)
    rows = np.repeat(np.arange(shard.start, shard.stop, dtype=np.int32), shard.draws)
    table = pa.table({**columns, SOURCE: rows}).filter(pa.array(~all_replaced))
    dropped = {"all_replaced": int(all_replaced.sum())} if isinstance(shard.generator, RulesConfig) else {}
    return table, len(all_replaced), dropped


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
            texts = pa.array(_vary_texts(given, shard.generator, rng), pa.string())
        is_varied = np.zeros(len(rows), dtype=bool)
        is_varied[varied] = True
        columns[name] = pc.replace_with_mask(originals.take(pa.array(rows)), pa.array(is_varied), texts)
    return columns, all_replaced


def _vary_texts(texts: list[str], generator: Generator, rng: np.random.Generator) -> list[str]:
    """One variant of each text, by a generator that works on plain texts."""
    if isinstance(generator, MaskFillConfig):
        return mask_fill.vary(texts, generator, rng)
    return nlpaug_bridge.vary(texts, generator, int(rng.integers(2**32)))


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

"""Which of all texts enter the set: no doubles, nothing held out, no more than asked for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tangodistill.augment.shards import Shard, generator_name, read_table


@dataclass(frozen=True)
class Selection:
    """A decision per source row and per row of every shard, with its account."""

    originals: np.ndarray
    """(n,) bool"""
    shards: list[np.ndarray]
    """One (rows,) bool for each shard."""
    counts: dict[str, Any]
    """For the manifest; of every row of ``originals`` and ``generators`` the parts add up to rows or draws."""


def select(
    originals: np.ndarray,
    shards: list[Shard],
    held_out: np.ndarray,
    include_original: bool,
    max_texts: int | None,
    seed: int,
) -> Selection:
    """Keep each text once, the first time it comes: source texts first, then the shards in order.

    Args:
        originals: (n,) hashes of the source rows.
        held_out: hashes of the selection, calibration and report rows.
        include_original: whether source texts enter; they count as seen either way.
        max_texts: cap: source texts stay, and of the others a uniform random choice.
    """
    tables = [read_table(shard.path) for shard in shards]
    hashes = np.concatenate([originals, *(table["hash"].to_numpy() for table in tables)])
    bounds = np.cumsum([len(originals), *map(len, tables)])
    first = np.zeros(len(hashes), dtype=bool)
    first[np.unique(hashes, return_index=True)[1]] = True
    leaked = first & np.isin(hashes, held_out)
    kept = first & ~leaked
    left_out = 0 if include_original else int(kept[: len(originals)].sum())
    kept[: len(originals)] &= include_original

    parts = [[int(part.sum()) for part in np.split(flags, bounds[:-1])] for flags in (~first, leaked, kept)]
    per_part = [dict(zip(("duplicates", "leaked", "kept"), part, strict=True)) for part in zip(*parts, strict=True)]
    chosen = _cap(kept, len(originals), max_texts, np.random.default_rng([seed, *b"max_texts"]))
    counts = {
        "originals": {"rows": len(originals), "left_out": left_out, **per_part[0]},
        "generators": _per_generator(shards, tables, per_part[1:]),
        "capped": int(kept.sum() - chosen.sum()),
        "rows": int(chosen.sum()),
    }
    masks = np.split(chosen, bounds[:-1])
    return Selection(masks[0], masks[1:], counts)


def kept_tables(sources: pa.Table, shards: list[Shard], selection: Selection) -> Iterator[pa.Table]:
    """The texts of the set in order, a shard at a time."""
    yield sources.filter(pa.array(selection.originals))
    for shard, kept in zip(shards, selection.shards, strict=True):
        yield read_table(shard.path).select(sources.column_names).filter(pa.array(kept))


def _cap(kept: np.ndarray, originals: int, max_texts: int | None, rng: np.random.Generator) -> np.ndarray:
    """A copy of ``kept`` with at most ``max_texts`` set, source texts before all others."""
    if max_texts is None or kept.sum() <= max_texts:
        return kept
    first, others = np.flatnonzero(kept[:originals]), originals + np.flatnonzero(kept[originals:])
    if len(first) >= max_texts:
        chosen = rng.choice(first, max_texts, replace=False)
    else:
        chosen = np.concatenate([first, rng.choice(others, max_texts - len(first), replace=False)])
    capped = np.zeros_like(kept)
    capped[chosen] = True
    return capped


def _per_generator(
    shards: list[Shard], tables: list[pa.Table], per_part: list[dict[str, int]]
) -> dict[str, dict[str, int]]:
    """Sums over each generator's shards: draws = all_replaced + duplicates + leaked + kept."""
    totals: dict[str, dict[str, int]] = {}
    for shard, table, part in zip(shards, tables, per_part, strict=True):
        total = totals.setdefault(
            generator_name(shard.generator), {"draws": 0, "all_replaced": 0, "duplicates": 0, "leaked": 0, "kept": 0}
        )
        for counts in (json.loads(table.schema.metadata[b"counts"]), part):
            for name, count in counts.items():
                total[name] += count
    return totals

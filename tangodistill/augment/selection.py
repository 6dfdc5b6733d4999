"""Which of all texts enter the set: no doubles, nothing held out, no more than asked for."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tangodistill.augment.shards import SOURCE, Shard, read_table


@dataclass(frozen=True)
class Limits:
    """How much may enter the set."""

    include_original: bool = True
    """Whether source texts do; they count as seen either way."""
    max_texts: int | None = None
    """In all: source texts stay, and of the others a random choice, by the generators' shares if they have any."""
    max_per_text: int | None = None
    """Variants of one source row, of all generators together."""


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
    limits: Limits,
    seed: int,
) -> Selection:
    """Keep each text once, the first time it comes: source texts first, then the shards in order.

    Args:
        originals: (n,) hashes of the source rows.
        held_out: hashes of the selection, calibration and report rows.
    """
    tables = [read_table(shard.path) for shard in shards]
    hashes = np.concatenate([originals, *(table["hash"].to_numpy() for table in tables)])
    bounds = np.cumsum([len(originals), *map(len, tables)])
    first = np.zeros(len(hashes), dtype=bool)
    first[np.unique(hashes, return_index=True)[1]] = True
    leaked = first & np.isin(hashes, held_out)
    new = first & ~leaked
    left_out = 0 if limits.include_original else int(new[: len(originals)].sum())
    new[: len(originals)] &= limits.include_original

    rng = np.random.default_rng([seed, *b"max_texts"])
    sources = np.concatenate([np.full(len(originals), -1), *(table[SOURCE].to_numpy() for table in tables)])
    within = _within(new, sources, limits.max_per_text, rng) if limits.max_per_text else new
    shares = {shard.generator.name: shard.generator.share for shard in shards}
    numbers = [list(shares).index(shard.generator.name) for shard in shards]
    makers = np.repeat(np.array([-1, *numbers], np.int8), [len(originals), *map(len, tables)])
    chosen = _cap(within, makers, list(shares.values()), limits.max_texts, rng)

    parts = [[int(part.sum()) for part in np.split(flags, bounds[:-1])] for flags in (~first, leaked, new, chosen)]
    accounts = ("duplicates", "leaked", "kept", "in_set")
    per_part = [dict(zip(accounts, part, strict=True)) for part in zip(*parts, strict=True)]
    counts = {
        "originals": {"rows": len(originals), "left_out": left_out, **per_part[0]},
        "generators": _per_generator(shards, tables, per_part[1:]),
        "over_max_per_text": int(new.sum() - within.sum()),
        "capped": int(within.sum() - chosen.sum()),
        "rows": int(chosen.sum()),
    }
    masks = np.split(chosen, bounds[:-1])
    return Selection(masks[0], masks[1:], counts)


def kept_tables(sources: pa.Table, shards: list[Shard], selection: Selection) -> Iterator[pa.Table]:
    """The texts of the set in order, a shard at a time."""
    yield sources.filter(pa.array(selection.originals))
    for shard, kept in zip(shards, selection.shards, strict=True):
        yield read_table(shard.path).select(sources.column_names).filter(pa.array(kept))


def _within(new: np.ndarray, sources: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of ``new`` with at most ``most`` set of each source row, a random choice of them; -1 is no source.

    >>> _within(np.ones(5, bool), np.array([-1, -1, 0, 0, 1]), 1, np.random.default_rng(0)).sum()
    np.int64(4)
    """
    rows = rng.permutation(np.flatnonzero(new & (sources >= 0)))
    rows = rows[np.argsort(sources[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(sources[rows], prepend=-1))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    within = new.copy()
    within[rows[place >= most]] = False
    return within


def _cap(
    kept: np.ndarray,
    makers: np.ndarray,
    shares: Sequence[float | None],
    max_texts: int | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """A copy of ``kept`` with at most ``max_texts`` set, source texts before all others, these by their makers' shares.

    Args: ``kept`` (n,) bool; ``makers`` (n,) the generator of each text, -1 for source texts; ``shares`` of each.
    """
    first, others = np.flatnonzero(kept & (makers < 0)), np.flatnonzero(kept & (makers >= 0))
    room = len(kept) if max_texts is None else max_texts
    if len(first) >= room:
        chosen = [rng.choice(first, room, replace=False)]
    elif None in shares:
        chosen = [first, others if len(others) <= room - len(first) else rng.choice(others, room - len(first), False)]
    else:
        of_maker = [others[makers[others] == maker] for maker in range(len(shares))]
        total = min(room - len(first), *(len(rows) / share for rows, share in zip(of_maker, shares, strict=True)))
        chosen = [
            first, *(rng.choice(rows, int(total * share), False) for rows, share in zip(of_maker, shares, strict=True))
        ]  # fmt: skip
    capped = np.zeros_like(kept)
    capped[np.concatenate(chosen)] = True
    return capped


def _per_generator(
    shards: list[Shard], tables: list[pa.Table], per_part: list[dict[str, int]]
) -> dict[str, dict[str, int]]:
    """Sums over each generator's shards: draws = what it dropped + duplicates + leaked + kept."""
    totals: dict[str, dict[str, int]] = {}
    for shard, table, part in zip(shards, tables, per_part, strict=True):
        total = totals.setdefault(shard.generator.name, {})
        for counts in (json.loads(table.schema.metadata[b"counts"]), part):
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
    return totals

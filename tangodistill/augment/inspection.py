"""What a transfer set looks like, before a teacher and a student are paid for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tangodistill.augment.near_report import NearReport
from tangodistill.augment.word_ids import WordIds
from tangodistill.data.glove import SPECIAL_TOKENS, VOCABULARY
from tangodistill.data.transfer import MANIFEST, write_json

INSPECTION = "inspection.json"
SAMPLED = 100_000  # rows that distinct-n is taken over: it falls with their number, and n-grams need memory
LENGTHS = np.array([0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512])
"""Words at which a bin of the length histogram begins."""


def inspect_set(
    rows: Dataset | pa.Table,
    originals: pa.Table,
    report: pa.Table,
    held_out: pa.Table,
    samples: int = 8,
    seed: int = 0,
    vocabulary: int = VOCABULARY,
) -> dict[str, Any]:
    """What can be told of a transfer set from its texts alone, ready for JSON.

    Every row is read, a slice at a time; only distinct-n is taken over a seeded sample of at most ``SAMPLED`` rows.
    Words are those of the student's tokenizer.

    Args:
        rows: the set: text, and text_pair for pairs.
        originals: the train role's texts, to compare lengths and distinct-n with.
        report: the report role's texts, to find near-duplicates of.
        held_out: the selection role's texts, to tell how many of their words a student on this set would not know.
        samples: examples to show, of the set and of its near-duplicates.
        seed: of the samples.
        vocabulary: words of the student, special tokens included.
    """
    table, originals, report, held_out = (_texts(each) for each in (rows, originals, report, held_out))
    words = WordIds()
    near = NearReport(report, words)
    occurrences, lengths = np.zeros(0, np.int64), np.zeros(len(LENGTHS), np.int64)
    for ids, counts in words.read(table):
        found = np.bincount(ids, minlength=len(words.names))
        found[: len(occurrences)] += occurrences
        occurrences = found
        lengths += _length_bins(counts)
        near.look_at(ids, counts)
    original_lengths = sum(map(_length_bins, (counts for _, counts in words.read(originals))), np.zeros_like(lengths))
    known = vocabulary - len(SPECIAL_TOKENS)
    sampled, sampled_originals = (_sample(each, SAMPLED, seed) for each in (table, originals))
    return {
        "rows": table.num_rows,
        "distinct": {
            "rows": {"set": sampled.num_rows, "originals": sampled_originals.num_rows},
            "set": _distinct_of(sampled, words),
            "originals": _distinct_of(sampled_originals, words),
        },
        "unknown": {
            **unknown_words(occurrences[len(SPECIAL_TOKENS) :], known),
            "held_out": _unseen(occurrences, known, held_out, words),
        },
        "lengths": _length_rows(lengths, original_lengths),
        "near_report": near.result(table, samples),
        "samples": _sample(table, samples, seed).to_pylist(),
    }


def write_inspection(folder: Path, inspection: dict[str, Any]) -> None:
    """Write inspection.json beside the set's manifest."""
    write_json(folder / INSPECTION, inspection)


def read_confidence(folder: Path) -> dict[str, Any] | None:
    """The teacher's confidence on this very set, from a labelled copy in a folder beside it; None without one."""
    try:
        key = _manifest(folder)["key"]
        copies = [_manifest(path.parent) for path in sorted(folder.parent.glob(f"*/{MANIFEST}"))]
    except (OSError, ValueError, KeyError):
        return None
    return next((each["confidence"] for each in copies if each.get("key") == key and "confidence" in each), None)


def _manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def distinct_ngrams(ids: np.ndarray, counts: np.ndarray, longest: int = 3) -> list[float | None]:
    """Share of distinct n-grams among all, for n = 1 up to ``longest``; None where there is no n-gram.

    Args:
        ids: (w,) words of the texts, one after the other.
        counts: (texts,) words of each; no n-gram reaches from one text into the next.

    >>> distinct_ngrams(np.array([1, 2, 1, 2, 3]), np.array([2, 3]))
    [0.6, 0.6666666666666666, 1.0]
    """
    text = np.repeat(np.arange(len(counts)), counts)
    shares, grams = [], ids
    for n in range(1, longest + 1):
        inside = text[: len(grams)] == text[n - 1 :]
        distinct, numbers = np.unique(grams, return_inverse=True)
        seen = np.zeros(len(distinct), bool)
        seen[numbers[inside]] = True
        shares.append(float(seen.sum() / inside.sum()) if inside.any() else None)
        # a longer n-gram is a shorter one and a word: numbered anew at each length, so that it fits an int64
        grams = numbers[:-1] * (int(ids.max(initial=0)) + 1) + ids[n:]
    return shares


def unknown_words(occurrences: np.ndarray, size: int) -> dict[str, Any]:
    """How much of a text is unknown to a vocabulary of its most frequent words.

    Args:
        occurrences: (words,) of each distinct word.
        size: words of the vocabulary.

    >>> unknown_words(np.array([1, 6, 3, 0]), 2)
    {'vocabulary': 2, 'distinct_words': 3, 'share': 0.1}
    """
    total = int(occurrences.sum())
    unknown = total - int(np.sort(occurrences)[::-1][:size].sum())
    return {
        "vocabulary": size,
        "distinct_words": int((occurrences > 0).sum()),
        "share": unknown / total if total else None,
    }


def _unseen(occurrences: np.ndarray, size: int, texts: pa.Table, words: WordIds) -> float | None:
    """Share of the words of other texts that are not among the most frequent of a set.

    Args:
        occurrences: of each word of the set, special tokens first.
    """
    frequent = np.zeros(len(occurrences), bool)
    frequent[len(SPECIAL_TOKENS) :][np.argsort(-occurrences[len(SPECIAL_TOKENS) :], kind="stable")[:size]] = True
    frequent &= occurrences > 0
    found = [ids for ids, _ in words.read(texts)]
    ids = np.concatenate([np.zeros(0, np.int64), *found])
    return float(1 - np.append(frequent, False)[np.minimum(ids, len(frequent))].mean()) if len(ids) else None


def _texts(rows: Dataset | pa.Table) -> pa.Table:
    """The text columns, as they lie in the file."""
    table = rows.with_format("arrow")[:] if isinstance(rows, Dataset) else rows
    return table.select([name for name in ("text", "text_pair") if name in table.column_names])


def _sample(table: pa.Table, size: int, seed: int) -> pa.Table:
    """At most so many rows, a seeded choice in the table's order."""
    if table.num_rows <= size:
        return table
    rows = np.random.default_rng([seed, *b"inspection"]).choice(table.num_rows, size, replace=False)
    return table.take(pa.array(np.sort(rows)))


def _distinct_of(table: pa.Table, words: WordIds) -> list[float | None]:
    read = list(words.read(table)) or [(np.zeros(0, np.int64), np.zeros((1, 0), np.int64))]
    return distinct_ngrams(np.concatenate([ids for ids, _ in read]), np.concatenate([c.ravel() for _, c in read]))


def _length_bins(counts: np.ndarray) -> np.ndarray:
    """(bins,) rows by their words, all sides together, from (sides, rows)."""
    return np.bincount(np.searchsorted(LENGTHS, counts.sum(axis=0), side="right") - 1, minlength=len(LENGTHS))


def _length_rows(lengths: np.ndarray, originals: np.ndarray) -> list[dict[str, int | None]]:
    """One mapping per bin, from the first bin that holds a text to the last; the longest texts' bin has no end."""
    filled = np.flatnonzero(lengths + originals)
    ends = [*(LENGTHS[1:] - 1).tolist(), None]
    return [
        {"from": int(LENGTHS[i]), "to": ends[i], "set": int(lengths[i]), "originals": int(originals[i])}
        for i in (range(filled[0], filled[-1] + 1) if len(filled) else ())
    ]

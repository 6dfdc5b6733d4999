"""What a transfer set looks like, before a teacher and a student are paid for."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tangodistill.augment.near_texts import NEAR, NearTexts
from tangodistill.augment.word_ids import WordIds
from tangodistill.data.glove import SPECIAL_TOKENS
from tangodistill.data.transfer import MANIFEST, write_json

INSPECTION = "inspection.json"
SAMPLED = 100_000  # rows that distinct-n is taken over: it falls with their number, and n-grams need memory
LENGTHS = np.array([0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512])
"""Words at which a bin of the length histogram begins."""


def inspect_set(
    rows: Dataset | pa.Table,
    originals: pa.Table,
    report: pa.Table,
    samples: int = 8,
    seed: int = 0,
    vocabulary: int = 10_000,
) -> dict[str, Any]:
    """What can be told of a transfer set from its texts alone, ready for JSON.

    Every row is read, a slice at a time; only distinct-n is taken over a seeded sample of at most ``SAMPLED`` rows.
    Words are those of the student's tokenizer.

    Args:
        rows: the set: text, and text_pair for pairs.
        originals: the train role's texts, to compare lengths and distinct-n with.
        report: the report role's texts, to find near-duplicates of.
        samples: examples to show, of the set and of its near-duplicates.
        seed: of the samples.
        vocabulary: words of the student, special tokens included.
    """
    table, originals, report = (_texts(each) for each in (rows, originals, report))
    words = WordIds()
    near = _NearReport(report, words)
    occurrences, lengths = np.zeros(0, np.int64), np.zeros(len(LENGTHS), np.int64)
    for ids, counts in words.read(table):
        found = np.bincount(ids, minlength=len(words.names))
        found[: len(occurrences)] += occurrences
        occurrences = found
        lengths += _length_bins(counts)
        near.look_at(ids, counts)
    original_lengths = sum(map(_length_bins, (counts for _, counts in words.read(originals))), np.zeros_like(lengths))
    sampled, sampled_originals = (_sample(each, SAMPLED, seed) for each in (table, originals))
    return {
        "rows": table.num_rows,
        "distinct": {
            "rows": {"set": sampled.num_rows, "originals": sampled_originals.num_rows},
            "set": _distinct_of(sampled, words),
            "originals": _distinct_of(sampled_originals, words),
        },
        "unknown": unknown_words(occurrences[len(SPECIAL_TOKENS) :], vocabulary - len(SPECIAL_TOKENS)),
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


class _NearReport:
    """Gathers the rows of a set that are nearly a report text, and the nearest of each report text."""

    def __init__(self, report: pa.Table, words: WordIds):
        self._report, self._words = report, words
        self._counted = np.zeros(len(SPECIAL_TOKENS), bool)
        read = list(words.read(report))
        parts = [self._word_sets(ids, counts) for ids, counts in read]
        starts = np.cumsum([0, *(counts.shape[1] for _, counts in read)])
        rows = [rows + start for (_, rows), start in zip(parts, starts, strict=False)]
        empty = np.zeros(0, np.int64)
        self._near = NearTexts(
            np.concatenate([empty, *(ids for ids, _ in parts)]), np.concatenate([empty, *rows]), len(report)
        )
        self._nearest = np.zeros(len(report))
        self._nearest_row = np.zeros(len(report), np.int64)
        self._found = self._looked_at = 0

    def _word_sets(self, ids: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids and rows of the words that count: neither punctuation nor special; a pair's sides are told apart."""
        sides, rows = counts.shape
        text = np.repeat(np.arange(sides * rows), counts.ravel())
        new = self._words.names[len(self._counted) :]
        self._counted = np.append(self._counted, [any(map(str.isalnum, name)) for name in new]).astype(bool)
        kept = self._counted[ids]
        return (ids * sides + text // rows)[kept], (text % rows)[kept]

    def look_at(self, ids: np.ndarray, counts: np.ndarray) -> None:
        """Take in the next slice of the set."""
        rows, given, similarity = self._near.find(*self._word_sets(ids, counts), counts.shape[1])
        self._found += len(np.unique(rows))
        order = np.lexsort((rows, -similarity, given))
        given, first = np.unique(given[order], return_index=True)
        rows, similarity = rows[order][first], similarity[order][first]
        nearer = similarity > self._nearest[given]
        self._nearest[given[nearer]] = similarity[nearer]
        self._nearest_row[given[nearer]] = rows[nearer] + self._looked_at
        self._looked_at += counts.shape[1]

    def result(self, table: pa.Table, examples: int) -> dict[str, Any]:
        """Counts, and the nearest rows, at most one for each report text, with that text beside them."""
        given = np.argsort(-self._nearest, kind="stable")[: min(examples, np.count_nonzero(self._nearest))]
        near, report = (
            each.take(pa.array(rows)).to_pylist()
            for each, rows in ((table, self._nearest_row[given]), (self._report, given))
        )
        return {
            "similarity": NEAR,
            "rows": self._found,
            "share": self._found / self._looked_at if self._looked_at else None,
            "report_rows": int(np.count_nonzero(self._nearest)),
            "examples": [
                {"similarity": round(float(similarity), 4), **row, "report": text}
                for similarity, row, text in zip(self._nearest[given], near, report, strict=True)
            ],
        }


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


def print_inspection(inspection: dict[str, Any], confidence: dict[str, Any] | None) -> None:
    """Print an inspection as tables; ``confidence`` is the labelled set's histogram, where there is one."""
    console = Console()
    for table in _tables(inspection, confidence):
        console.print(table)


def _tables(inspection: dict[str, Any], confidence: dict[str, Any] | None) -> Iterator[Table]:
    near, lengths = inspection["near_report"], inspection["lengths"]
    yield _table("Transfer set", ["", "set", "originals"], _summary(inspection))
    totals = {name: sum(row[name] for row in lengths) or 1 for name in ("set", "originals")}
    rows = [[_bin(row), *(_percent(row[name] / total) for name, total in totals.items())] for row in lengths]
    yield _table("Length", ["words", "set", "originals"], rows)
    if confidence:
        total = sum(confidence["counts"]) or 1
        bins = zip(confidence["edges"], confidence["edges"][1:], confidence["counts"], strict=False)
        rows = [[f"{low:.2f}–{high:.2f}", _percent(count / total)] for low, high, count in bins]
        yield _table(f"Teacher's confidence, mean {_percent(confidence['mean'])}", ["probability", "rows"], rows)
    yield _table("Samples", ["text"], [[_joined(row)] for row in inspection["samples"]], lines=True)
    if near["examples"]:
        rows = [[f"{each['similarity']:.2f}", _joined(each), _joined(each["report"])] for each in near["examples"]]
        yield _table("Nearest to the report role", ["similarity", "set", "report role"], rows, lines=True)


def _summary(inspection: dict[str, Any]) -> list[list[str]]:
    distinct, unknown, near = (inspection[key] for key in ("distinct", "unknown", "near_report"))
    looked_at = distinct["rows"]
    return [
        ["rows", f"{inspection['rows']:,}", ""],
        ["rows looked at for distinct-n", f"{looked_at['set']:,}", f"{looked_at['originals']:,}"],
        *(
            [f"distinct-{n}", *map(_percent, shares)]
            for n, shares in enumerate(zip(distinct["set"], distinct["originals"], strict=True), start=1)
        ),
        ["distinct words", f"{unknown['distinct_words']:,}", ""],
        [f"words outside the {unknown['vocabulary']:,} most frequent", _percent(unknown["share"], 2), ""],
        [f"nearly a report text (Jaccard of words ≥ {near['similarity']:g})", f"{near['rows']:,}", ""],
        ["share of the set", _percent(near["share"], 3), ""],
        ["report texts with such a row", f"{near['report_rows']:,}", ""],
    ]


def _table(title: str, header: list[str], rows: list[list[str]], lines: bool = False) -> Table:
    """Texts are printed as they are: square brackets in them are no markup."""
    table = Table(*header, title=title, show_lines=lines)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _bin(row: Mapping[str, int | None]) -> str:
    """
    >>> [_bin({"from": low, "to": high}) for low, high in ((1, 1), (4, 5), (512, None))]
    ['1', '4–5', '512 and more']
    """
    if row["to"] is None:
        return f"{row['from']} and more"
    return str(row["from"]) if row["from"] == row["to"] else f"{row['from']}–{row['to']}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _joined(row: Mapping[str, Any]) -> str:
    return " | ".join(row[name] for name in ("text", "text_pair") if name in row)

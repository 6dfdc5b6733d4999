"""Which texts of a transfer set are nearly a text of the report role."""

from typing import Any

import numpy as np
import pyarrow as pa

from tangodistill.augment.near_texts import NEAR, NearTexts
from tangodistill.augment.word_ids import WordIds
from tangodistill.data.glove import SPECIAL_TOKENS


class NearReport:
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

"""What the transfer set looks like: its words and lengths, the teacher's confidence, samples, near-duplicates."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tangodistill.report.markup import NONE, paragraph, percent, plain, table
from tangodistill.report.run_files import read_json_files


def inspection_tables(run: Path, texts: bool = False) -> str:
    """What the stages `augment` and `label` found; empty where a run has neither.

    Args: `texts` whether some of them are printed.
    """
    found, labelled = _read(run / "augment" / "inspection.json"), _labelled(run)
    parts = [_summary_table(found), _length_table(found["lengths"])] if found else []
    if labelled:
        parts.append(_confidence_table(labelled))
    if found and texts:
        parts += [_sample_table(found["samples"]), _near_table(found["near_report"])]
    return "".join(parts)


def _summary_table(found: Mapping[str, Any]) -> str:
    distinct, unknown, near = found["distinct"], found["unknown"], found["near_report"]
    rows = [
        ["Rows", f"{found['rows']:,}", NONE],
        ["Rows looked at for distinct-n", *(f"{distinct['rows'][name]:,}" for name in ("set", "originals"))],
        *(
            [f"distinct-{n}", *map(percent, shares)]
            for n, shares in enumerate(zip(distinct["set"], distinct["originals"], strict=True), start=1)
        ),
        ["Distinct words", f"{unknown['distinct_words']:,}", NONE],
        [f"Words outside the {unknown['vocabulary']:,} most frequent", percent(unknown["share"], 2), NONE],
        ["Words of held-out texts outside them", percent(unknown.get("held_out"), 2), NONE],
        ["Rows that are nearly a report text", f"{near['rows']:,} ({percent(near['share'], 3)})", NONE],
        ["Report texts that have such a row", f"{near['report_rows']:,}", NONE],
    ]
    return table("The transfer set", ["", "set", "train role"], rows) + paragraph(
        "distinct-n is the share of distinct word n-grams among all; it falls with the rows looked at. A student knows "
        "the most frequent words only. Nearly: distinct words overlap by a Jaccard similarity of "
        f"{near['similarity']:g} or more, punctuation and masks put aside; equal texts are left out of the set.",
        "note",
    )


def _length_table(lengths: list[Mapping[str, Any]]) -> str:
    totals = {name: sum(row[name] for row in lengths) or 1 for name in ("set", "originals")}
    rows = [
        [_bin(row["from"], row["to"]), *(percent(row[name] / total) for name, total in totals.items())]
        for row in lengths
    ]
    return table("Length of a text or pair in words", ["words", "set", "train role"], rows) if rows else ""


def _confidence_table(labelled: Mapping[str, Any]) -> str:
    edges, counts = labelled["edges"], labelled["counts"]
    rows = [
        [f"{low:.2f}–{high:.2f}", f"{count:,}", percent(count / max(1, sum(counts)))]
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    caption = f"The teacher’s highest class probability on the transfer set, mean {plain(labelled['mean'])}"
    return table(caption, ["probability", "rows", "share"], rows)


def _sample_table(samples: list[Mapping[str, str]]) -> str:
    if not samples:
        return ""
    rows = [[str(number), _joined(row)] for number, row in enumerate(samples, start=1)]
    return table("Some rows of the transfer set, by chance", ["", "text"], rows, "words")


def _near_table(near: Mapping[str, Any]) -> str:
    rows = [[_joined(each), _joined(each["report"]), f"{each['similarity']:.2f}"] for each in near["examples"]]
    header = ["transfer set", "report role", "similarity"]
    return table("The rows nearest to a report text, one for each", header, rows, "words") if rows else ""


def _bin(low: int, high: int | None) -> str:
    """
    >>> _bin(1, 1), _bin(4, 5), _bin(512, None)
    ('1', '4–5', '512 and more')
    """
    if high is None:
        return f"{low} and more"
    return str(low) if low == high else f"{low}–{high}"


def _joined(row: Mapping[str, Any]) -> str:
    return " | ".join(row[name] for name in ("text", "text_pair") if name in row)


def _labelled(run: Path) -> Mapping[str, Any] | None:
    """The histogram in the labelled set's manifest."""
    manifests = read_json_files(run, "manifest.json").values()
    return next((each["confidence"] for each in manifests if "confidence" in each), None)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

"""An inspection as tables on the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


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
        ["of the words of held-out texts", _percent(unknown.get("held_out"), 2), ""],
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

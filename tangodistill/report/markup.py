"""Text, numbers and tables as HTML; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from html import escape

NONE = "–"
FEW = 5
"""Columns that a narrow screen has room for."""


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    kind: str = "numbers",
    strong: Collection[int] = (),
) -> str:
    """A table that scrolls inside its box. The first cell of a row is its heading.

    On a narrow screen each row of a wide table of numbers stands as a block, a line for every cell.

    Args:
        kind: "numbers"; "words", whose cells wrap; "contest", whose last column stands out; "matrix", which keeps its
            columns on any screen.
        strong: indices of the rows that stand out.

    >>> "&lt;b&gt;" in table("sizes", ["name", "n"], [["<b>", "3"]])
    True
    """
    wide = kind == "numbers" and len(header) > FEW
    kind += " wide" if wide else ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr{" class=strong" if index in strong else ""}><th scope="row">{escape(row[0])}</th>'
        + "".join(_data(label if wide else None, cell) for label, cell in zip(header[1:], row[1:], strict=True))
        + "</tr>"
        for index, row in enumerate(rows)
    )
    return (
        f'<p class="caption {kind}" aria-hidden="true">{escape(caption)}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="{kind}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _data(label: str | None, text: str) -> str:
    """A cell of data; a label goes with it where rows may stand as blocks."""
    attribute = "" if label is None else f' data-label="{escape(label)}"'
    return f"<td{attribute}>{_cell(text)}</td>"


def _cell(text: str) -> str:
    """What stands on further lines is small.

    >>> _cell("99.1 %\\n97.1–100.5 %")
    '99.1 %<small>97.1–100.5 %</small>'
    """
    first, _, rest = escape(text).partition("\n")
    return f"{first}<small>{rest}</small>" if rest else first


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def section(title: str, *parts: str) -> str:
    """A heading and what stands under it; nothing where every part is empty."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>" if any(parts) else ""


def details(title: str, *parts: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{''.join(parts)}</details>"


def flatten(mapping: Mapping, prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as rows of a key path and a value.

    >>> flatten({"rules": {"kept": 20000, "p": 0.1}, "files": ["a", "b"]})
    [('rules › kept', '20,000'), ('rules › p', '0.1'), ('files', 'a, b')]
    """
    rows = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flatten(value, f"{name} › ")
        elif isinstance(value, (list, tuple)):
            rows.append((name, ", ".join(plain(item) for item in value) or NONE))
        else:
            rows.append((name, plain(value)))
    return rows


def plain(value: object) -> str:
    """A value in words: thousands marked, floats to four figures, a dash for nothing.

    >>> [plain(v) for v in (1821, 0.123456, None, True, "text")]
    ['1,821', '0.1235', '–', 'yes', 'text']
    """
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def times(value: float | None) -> str:
    """A ratio such as a speedup.

    >>> times(4.256), times(0.31), times(None)
    ('4.3×', '0.31×', '–')
    """
    if value is None or value != value:
        return NONE
    return f"{value:.1f}×" if value >= 1 else f"{value:.2f}×"


def spread(interval: tuple[float, float] | None, show: Callable[[float], str]) -> str:
    """An interval, its unit once.

    >>> spread((0.971, 1.0048), percent), spread((1.5, 1.93), times), spread(None, times)
    ('97.1–100.5 %', '1.5–1.9×', '–')
    """
    if interval is None:
        return NONE
    low, high = map(show, interval)
    return f"{low.removesuffix(' %').removesuffix('×')}–{high}"


def within(value: str, interval: tuple[float, float] | None, show: Callable[[float], str]) -> str:
    """A table's cell: a value, and its 95 % interval on a line below.

    >>> within("99.1 %", (0.971, 1.0048), percent), within("99.1 %", None, percent)
    ('99.1 %\\n97.1–100.5 %', '99.1 %')
    """
    return value if interval is None or value == NONE else f"{value}\n{spread(interval, show)}"


def percent(share: float | None, digits: int = 1) -> str:
    """
    >>> percent(0.0857), percent(None)
    ('8.6 %', '–')
    """
    return NONE if share is None or share != share else f"{100 * share:.{digits}f} %"


def hundredfold(metric: float | None) -> str:
    """A metric as tables print it, times 100.

    >>> hundredfold(0.87534)
    '87.5'
    """
    return NONE if metric is None or metric != metric else f"{100 * metric:.1f}"


def rate(per_s: float | None) -> str:
    """
    >>> rate(1234.5), rate(7.25)
    ('1,234', '7.2')
    """
    if per_s is None or per_s != per_s:
        return NONE
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


def seconds(value: float | None) -> str:
    """
    >>> seconds(0.0123), seconds(2.5)
    ('12.3 ms', '2.50 s')
    """
    if value is None or value != value:
        return NONE
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.2f} s"

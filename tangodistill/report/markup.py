"""Text, numbers and tables as HTML; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

NONE = "–"


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    kind: str = "numbers",
    strong: Collection[int] = (),
) -> str:
    """A table that scrolls inside its box. The first cell of a row is its heading.

    Args:
        kind: "numbers"; "words", whose cells wrap; "contest", whose last column stands out.
        strong: indices of the rows that stand out.

    >>> "&lt;b&gt;" in table("sizes", ["name", "n"], [["<b>", "3"]])
    True
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr{" class=strong" if index in strong else ""}><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for index, row in enumerate(rows)
    )
    return (
        f'<p class="caption" aria-hidden="true">{escape(caption)}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="{kind}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


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

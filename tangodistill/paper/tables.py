"""The paper's Tables 1, 2 and 3, ours beside the published numbers: every number as data, and what is read of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tangodistill.paper.runs import Row
from tangodistill.paper.values import CITATION
from tangodistill.report.markup import hundredfold, rate, times
from tangodistill.report.titles import heading

KINDS = {
    "deebert": "DeeBERT",
    "dynamic_tinybert": "Dynamic-TinyBERT",
    "random": "random",
    "cascade": "cascade",
    "oracle": "oracle",
}
NOT_IN_PAPER = ("dynamic_tinybert",)
SHARES = (99, 98)
BATCHES = {"batch1": ("Batch 1", "throughput"), "best_batch": ("Best batch", "throughput_best_batch")}
"""Way of batching -> its heading, and the paper's numbers of it."""
HARDWARE = "The paper's times come from other hardware: compare what wins and by how much, not seconds."

STAR = "A star marks tiers that are not the paper's."


@dataclass(frozen=True)
class PaperTable:
    """One table, for reckoning and for reading."""

    name: str
    caption: str
    frame: pd.DataFrame
    """Every number, NaN where there is none; metrics 0..1, ours without and the paper's with `_paper` in the name."""
    blocks: dict[str, tuple[list[str], list[list[str]]]]
    """Heading -> header and rows of a table to read."""


def paper_tables(rows: Sequence[Row]) -> list[PaperTable]:
    """Tables 1, 2 and 3."""
    return [_table1(rows), _table2(rows), _table3(rows)]


def metric_name(row: Row) -> str:
    """What a row is judged by, in words."""
    return heading(row.run.measured.summary if row.run else {"metric": row.published.metric})


def _table1(rows: Sequence[Row]) -> PaperTable:
    roles = ("unlabelled", "train", "test")
    records = []
    for row in rows:
        ours = row.run.sizes if row.run else (None,) * 3
        paper = row.published.sizes if row.published else (None,) * 3
        record = _about(row)
        for role, count, published in zip(roles, ours, paper, strict=True):
            record |= {role: None if count is None else count / 1000, f"{role}_paper": published}
        records.append(record)
    cells = [
        [record["data"], *(_thousands(record[f"{role}{end}"]) for role in roles for end in ("", "_paper"))]
        for record in records
    ]
    header = ["", *(name for role in roles for name in (role, "paper"))]
    caption = f"Table 1. Examples in thousands: ours, and beside them those of the paper ({CITATION})."
    return PaperTable("table1", caption, _frame(records), {"": (header, cells)})


def _table2(rows: Sequence[Row]) -> PaperTable:
    records = [_about(row) | _speedups(row) for row in rows]
    header = ["", "our tiers", "metric", "tier 2 (×100)", "paper"]
    header += [name for kind in KINDS for name in (KINDS[kind], *(() if kind in NOT_IN_PAPER else ("paper",)))]
    blocks = {
        f"Speedup at {share} % of the second tier": (
            header,
            [
                [record["data"], _tiers(row), metric_name(row), _metric(record), hundredfold(record["tier2_paper"]),
                 *(cell for kind in KINDS for cell in _speedup_cells(record, f"{kind}_{share}"))]
                for row, record in zip(rows, records, strict=True)
            ],
        )
        for share in SHARES
    }  # fmt: skip
    caption = (
        "Table 2. Speedup over the second tier alone at 99 % and 98 % of its metric, one example at a time, "
        f"interpolated between operating points of the report role, as the paper reads it. {STAR} In brackets 95 % "
        "bootstrap intervals over the examples. "
        f"Paper: {CITATION}. {HARDWARE}"
    )
    return PaperTable("table2", caption, _frame(records), blocks)


def _table3(rows: Sequence[Row]) -> PaperTable:
    records = [_about(row) | _throughputs(row) for row in rows]
    points = {"tier2": "tier 2 alone", "99": "at 99 %", "98": "at 98 %"}
    header = ["", "our tiers", *(name for point in points.values() for name in (point, "paper"))]
    blocks = {
        f"{heading}, examples per second": (
            header,
            [
                [record["data"], _tiers(row),
                 *(rate(record[f"{batch}_{point}"]) if ours else _whole(record[f"{batch}_{point}_paper"])
                   for point in points for ours in (True, False))]
                for row, record in zip(rows, records, strict=True)
            ],
        )
        for batch, (heading, _) in BATCHES.items()
    }  # fmt: skip
    caption = (
        "Table 3. Throughput of the second tier alone and of the cascade at 99 % and 98 % of its metric, one example "
        "at a time and at each tier's best batch size, by the tiers' measured times, interpolated as in Table 2. "
        f"{STAR} Paper: {CITATION}. {HARDWARE}"
    )
    return PaperTable("table3", caption, _frame(records), blocks)


def _frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One line per row; the count of examples stays whole where some rows have none."""
    frame = pd.DataFrame(records)
    return frame.assign(n=pd.Series([record["n"] for record in records], dtype=object))


def _about(row: Row) -> dict[str, Any]:
    """The columns that every table has: what a row's numbers are of."""
    run = row.run
    if run is None:
        return dict.fromkeys(("data", "tier1", "tier2", "split", "n", "machine", "run")) | {"data": row.name}
    first, second = run.tiers
    summary = run.measured.summary
    return {
        "data": row.name, "tier1": first, "tier2": second, "split": summary["split"], "n": summary["n"],
        "machine": run.machine, "run": str(run.folder),
    }  # fmt: skip


def _speedups(row: Row) -> dict[str, Any]:
    measured = row.run.measured if row.run else None
    intervals = measured.intervals if measured else {}
    low, high = intervals.get(f"tier2/{measured.metric}" if measured else "", (None, None))
    record = {
        "metric": metric_name(row),
        "tier2_metric": measured.second_only[measured.metric] if measured else None,
        "tier2_metric_low": low,
        "tier2_metric_high": high,
        "tier2_paper": round(row.published.second_tier / 100, 3) if row.published else None,
    }
    summary = measured.summary if measured else {}
    ours = {kind: summary if kind == "cascade" else summary.get(kind) for kind in KINDS}
    for place, share in enumerate(SHARES):
        for kind in KINDS:
            name = f"speedup_at_{share}/batch1"
            low, high = intervals.get(name if kind == "cascade" else f"{kind}/{name}", (None, None))
            record |= {
                f"{kind}_{share}": ours[kind][f"speedup_at_{share}"]["batch1"] if ours[kind] else None,
                f"{kind}_{share}_low": low,
                f"{kind}_{share}_high": high,
            }
            if kind not in NOT_IN_PAPER:
                published = row.published.speedups.get(kind) if row.published else None
                record[f"{kind}_{share}_paper"] = published[place] if published else None
    return record


def _throughputs(row: Row) -> dict[str, float | None]:
    """Ours is the second tier's own throughput, times the speedups that Table 2 has."""
    record = {}
    for batch, (_, attribute) in BATCHES.items():
        published = getattr(row.published, attribute) if row.published else (None,) * 3
        speedups = [None] * 3
        if row.run:
            measured = row.run.measured
            second = measured.second_only["throughput_per_s" if batch == "batch1" else "throughput_best_batch_per_s"]
            at = [1.0, *(measured.summary[f"speedup_at_{share}"][batch] for share in SHARES)]
            speedups = [None if speedup is None else speedup * second for speedup in at]
        for point, ours, theirs in zip(("tier2", *SHARES), speedups, published, strict=True):
            record |= {f"{batch}_{point}": ours, f"{batch}_{point}_paper": theirs}
    return record


def _tiers(row: Row) -> str:
    """Our tiers, with a star where the paper has others."""
    return _whole(None) if row.run is None else " → ".join(row.run.tiers) + ("*" if row.others else "")


def _metric(record: Mapping[str, Any]) -> str:
    interval = (record["tier2_metric_low"], record["tier2_metric_high"])
    ends = None if None in interval else "–".join(map(hundredfold, interval))
    return hundredfold(record["tier2_metric"]) + (f" [{ends}]" if ends else "")


def _speedup_cells(record: Mapping[str, Any], key: str) -> list[str]:
    """Ours with its interval, and the paper's where it could have one."""
    low, high = record[f"{key}_low"], record[f"{key}_high"]
    interval = "" if low is None or record[key] is None else f" [{low:.1f}–{high:.1f}]"
    published = f"{key}_paper"
    return [times(record[key]) + interval, *([times(record[published])] if published in record else [])]


def _thousands(value: float | None) -> str:
    """
    >>> [_thousands(value) for value in (None, 0, 0.5, 104.7, 2095)]
    ['–', '0', '0.5', '104.7', '2,095']
    """
    if value is None:
        return rate(None)
    return f"{value:,.0f}" if value >= 150 or value == 0 else f"{value:,.1f}"


def _whole(value: int | None) -> str:
    return rate(None) if value is None or math.isnan(value) else f"{value:,}"

"""Which engines were tried for each tier, how each agrees with PyTorch, and how fast it is."""

import json
from pathlib import Path
from typing import Any

from tangodistill.report.markup import hundredfold, percent, plain, rate, table


def engine_tables(run: Path) -> str:
    """What the stages `export` and `tune` found; empty where a run has neither."""
    return _agreement_table(_read(run / "export" / "export.json") or []) + _speed_table(
        _read(run / "tune" / "tune.json") or {"cpus": {}}
    )


def _agreement_table(found: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"tier {row['tier']} · {row['key']}",
            *(hundredfold(row[name]) for name in ("metric", "torch_metric")),
            percent(row["same_labels"]),
            plain(row["max_difference"]),
            "no" if row["refused"] else "yes",
        ]
        for row in found
    ]
    role = found[0].get("role", "calibration") if found else None
    caption = f"Formats against PyTorch in fp32, on the {role} role"
    header = ["", "metric (×100)", "PyTorch’s", "same labels", "largest logit difference", "may answer"]
    return table(caption, header, rows) if rows else ""


def _speed_table(tuned: dict[str, Any]) -> str:
    return "".join(
        table(
            f"Texts per second on {cpu}, {found['repeats']} repeats on {found['texts']} "
            f"{found.get('role', 'calibration')} texts",
            ["", "threads", "one at a time", "best batch", "batch size", *_cascade_heading(found["rows"])],
            [_speeds(row) + _cascade(row, found["rows"]) for row in found["rows"]],
            strong=[number for number, row in enumerate(found["rows"]) if row["chosen"]],
        )
        for cpu, found in tuned["cpus"].items()
    )


def _speeds(row: dict[str, Any]) -> list[str]:
    speeds = rate(row["throughput_batch1_per_s"]), rate(row["throughput_best_batch_per_s"])
    return [f"tier {row['tier']} · {row['key']}", str(row["threads"]), *speeds, str(row["batch_size"])]


def _cascade_heading(rows: list[dict[str, Any]]) -> list[str]:
    """Of columns that stand only where length configurations were compared by their cascades."""
    compared = any(row.get("deferral_rate") is not None for row in rows)
    return ["its cascade defers", "and takes, ms per text", "in batches"] if compared else []


def _cascade(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    if row.get("deferral_rate") is None:
        return [""] * len(_cascade_heading(rows))
    return [percent(row["deferral_rate"]), *(plain(row[name]) for name in ("cascade_ms", "cascade_best_batch_ms"))]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

"""The TangoBERT paper's tables and figures from any set of finished runs, written side by side into one folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tangodistill.paper.figures import CAPTIONS, paper_figures
from tangodistill.paper.runs import Row, read_rows
from tangodistill.paper.tables import PaperTable, paper_tables
from tangodistill.report.canvas import save
from tangodistill.report.tracking import log_paper
from tangodistill.user_error import UserError

PAGE = "paper.md"


def write_paper(runs: Sequence[Path], output: Path) -> Path:
    """Write Tables 1 to 3 as Markdown and CSV and Figures 2 to 4 as PNG and SVG, and log them as one W&B run.

    Everything is made in a hidden folder first and then moved into its place, file by file.

    Raises:
        UserError: a run is missing or not finished, two runs belong to one row, or the output is a file.
    """
    rows = read_rows(runs)
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file. Give a folder to write the tables and figures into.")
    tables, figures = paper_tables(rows), paper_figures(rows)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".paper-") as made:
        for table in tables:
            table.frame.to_csv(Path(made) / f"{table.name}.csv", index=False)
        for name, figure in figures.items():
            save(figure, Path(made) / name)
        (Path(made) / PAGE).write_text(_page(tables, rows), encoding="utf-8")
        written = sorted(path.name for path in Path(made).iterdir())
        for name in written:
            os.replace(Path(made) / name, output / name)
    log_paper(output, {table.name: table.frame for table in tables}, figures)
    print(f"{_coverage(rows)}\nIn {output}: {', '.join(written)}")
    return output / PAGE


def _page(tables: Sequence[PaperTable], rows: Sequence[Row]) -> str:
    """Tables and figures, each with a caption that names the data and the machine behind every number of ours."""
    sources = "\n".join(f"- {row.source}" for row in rows if row.run)
    parts = ["# The TangoBERT paper's tables and figures, ours beside the published numbers"]
    for table in tables:
        parts.append(f"## {table.name.replace('table', 'Table ')}\n\n{table.caption}")
        for heading, (header, cells) in table.blocks.items():
            lines = [header, ["---"] + ["---:"] * (len(header) - 1), *cells]
            parts += [f"**{heading}**"] if heading else []
            parts.append("\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines))
        parts.append(sources)
    for name, caption in CAPTIONS.items():
        title = name.replace("figure", "Figure ")
        parts += [f"## {title}\n\n![{title}]({name}.svg)\n\n{title}. {caption}", sources]
    return "\n\n".join(parts) + "\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|").replace("*", r"\*")


def _coverage(rows: Sequence[Row]) -> str:
    """Which of the paper's rows have a run."""
    missing = [row.name for row in rows if row.run is None]
    return f"No run of: {', '.join(missing)}." if missing else "Every row of the paper has a run."

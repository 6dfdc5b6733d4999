"""The verb `report`: one run's page, or the paper's tables and figures from several runs."""

from __future__ import annotations

from pathlib import Path

from tangodistill.user_error import UserError

PAPER_FOLDER = Path("runs/paper")


def report(run_folder: list[Path] | Path, output: Path | None = None, paper: bool = False, texts: bool = False) -> Path:
    """`report RUN` writes one run's report; `report --paper RUN RUN ...` the paper's tables and figures of many runs.

    Args:
        run_folder: folder of a finished run, which holds `cascade/`; it may stand without the flag's name, and with
            --paper there may be several.
        output: folder to write into; `report/` in the run's folder, or with --paper runs/paper.
        paper: instead of one run's page, write the TangoBERT paper's Tables 1, 2 and 3 (Markdown, CSV) and Figures 2,
            3 and 4 (PNG, SVG) from these runs, our numbers beside the published ones. A data set without a run stays
            blank; a run of other data gets a row and a panel of its own.
        texts: print texts of yours too: samples of the transfer set, and those nearest to the report role.

    Raises:
        UserError: a run is missing, not finished or broken, several are given without --paper, or two for one row.
    """
    runs = run_folder if isinstance(run_folder, list) else [run_folder]
    if paper:
        from tangodistill.paper.report import write_paper  # brings in W&B, which one run's page does not need

        return write_paper(runs, output or PAPER_FOLDER)
    if len(runs) != 1:
        raise UserError(
            f"`report` writes one run's page, and {len(runs)} runs are given. "
            "For the paper's tables and figures from all of them add --paper."
        )
    from tangodistill.report.html import write_report

    return write_report(runs[0], output, texts)

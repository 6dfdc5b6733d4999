"""One self-contained HTML file about a finished run, made from the files in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path

from tangodistill import __version__
from tangodistill.report import point_tables, tables
from tangodistill.report.canvas import inline_svg, save
from tangodistill.report.classes import class_tables
from tangodistill.report.dynamic_tinybert import lengths_table
from tangodistill.report.early_exit import exit_table, run_table
from tangodistill.report.engines import engine_tables
from tangodistill.report.figures import cascade_figures, data_name
from tangodistill.report.headline import headline, lead, warnings
from tangodistill.report.markup import details, hundredfold, paragraph, rate, section, times
from tangodistill.report.run_files import Measured, read_json_files, read_measured
from tangodistill.report.titles import heading
from tangodistill.report.transfer import inspection_tables

CAPTIONS = {
    "tradeoff": "Each point of the cascade’s line is one threshold, one example at a time. The oracle knows the "
    "labels; random deferral sends each example to one tier or the other. Where they were measured, "
    "DeeBERT has one point per entropy threshold and a Dynamic-TinyBERT by itself one per length configuration, drawn "
    "down to 90 % of the second tier.",
    "throughput": "The same thresholds by examples per second, one at a time and at each tier’s best batch size: "
    "predicted from the times of each tier by itself. The diamond is what the chosen point came to when it was run for "
    "real, through the queue; the table’s best-batch speed is that one.",
    "errors_by_confidence": "Where the two tiers disagree on what is right. A useful confidence gathers the first "
    "tier’s mendable errors at the left, where examples are deferred.",
}


def write_report(run_folder: Path, output: Path | None = None, texts: bool = False) -> Path:
    """Write report.html about a finished run, with its figures as PNG and SVG beside it.

    Args:
        run_folder: the run's folder, which holds `cascade/`.
        output: folder to write into; `report/` in the run's folder where it is not given.
        texts: whether to print samples of the transfer set and their nearest texts of the report role.

    Raises:
        UserError: the run has no measured cascade yet, or a broken file.
    """
    run = Path(run_folder)
    measured = read_measured(run / "cascade")
    folder = run / "report" if output is None else Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    figures = cascade_figures(measured)
    for name, figure in figures.items():
        save(figure, folder / name)
    inline = {name: inline_svg(figure, name, _alternative(name, measured)) for name, figure in figures.items()}
    page = folder / "report.html"
    page.write_text(_page(run, measured, inline, texts), encoding="utf-8")
    return page


def _page(run: Path, measured: Measured, figures: Mapping[str, str], texts: bool) -> str:
    summary = measured.summary
    style = files("tangodistill.report").joinpath("report.css").read_text(encoding="utf-8")
    body = (
        f'<header><p class="eyebrow">tangodistill · {escape(data_name(measured.summary))}</p>'
        f"<h1>{escape(headline(measured)).replace(' %', '&nbsp;%')}</h1>{paragraph(lead(measured))}"
        f"{''.join(paragraph(f'Warning: {each}', 'warning') for each in warnings(measured))}</header><main>",
        section(
            "At a glance",
            tables.main_table(measured),
            paragraph(_how_timed(summary), "note"),
        ),
        section("How fast at 99 % and 98 % of the second tier", tables.speedup_table(measured)),
        section("Leaving early: DeeBERT", exit_table(measured), run_table(measured)),
        section("Keeping fewer tokens: Dynamic-TinyBERT", lengths_table(measured)),
        section(
            "The operating point",
            point_tables.chosen_table(measured),
            point_tables.time_check(measured),
            point_tables.response_table(measured),
        ),
        section("Figures", _figure_grid(figures)),
        section("The classes", class_tables(measured)),
        section("The tiers", tables.tier_table(measured), tables.student_settings_table(measured)),
        section("The engines", engine_tables(run)),
        _paper_protocol(run),
        section("The data", tables.data_table(measured), inspection_tables(run, texts), _transfer_set(run)),
        section("How it was measured and made", _provenance(run, measured)),
        f"</main><footer>Made by tangodistill {escape(__version__)} from the files in "
        f"<code>{escape(run.name)}/cascade</code>; no part of it is loaded from elsewhere.</footer>",
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(run.resolve().name)}: cascade report</title><style>{style}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _how_timed(summary: Mapping) -> str:
    first, second = summary["tiers"][:2]
    source = "is measured" if summary["chosen"].get("measured_s") else "is predicted"
    padding = {"natural": "padded to the longest text of a batch", "paper": "padded to the task’s maximum length"}
    return (
        f"From raw text to label, tokenisation included; protocol {summary['protocol']}: "
        f"{padding.get(summary['protocol'], 'see the settings')}. Best batches: "
        f"{first['best_batch_size']} examples in the first tier, {second['best_batch_size']} in the second. "
        f"The cascade’s best-batch speed {source} through the queue; below it stands the one predicted from the tiers’ "
        "own times, which the figures are drawn by."
    )


def _figure_grid(figures: Mapping[str, str]) -> str:
    cells = (
        f"<figure>{svg}<figcaption>{escape(CAPTIONS[name])}</figcaption></figure>" for name, svg in figures.items()
    )
    return f'<div class="figures">{"".join(cells)}</div>'


def _alternative(name: str, measured: Measured) -> str:
    """A figure in words, for who cannot see it."""
    chosen = measured.point_at(measured.summary["chosen"]["deferral_rate"])
    first, second = measured.first_only, measured.second_only
    metric, data = heading(measured.summary), data_name(measured.summary)
    if name == "errors_by_confidence":
        return (
            f"Heat table of {data}: shares of examples that the second tier mends or spoils, by tenth of the first "
            "tier’s confidence."
        )
    if name == "tradeoff":
        return (
            f"Line chart of {metric} against speedup, {data}: from {hundredfold(second[measured.metric])} for the "
            f"second tier alone at 1× to {hundredfold(first[measured.metric])} for the first tier alone at "
            f"{times(first['speedup'])}; chosen point {hundredfold(chosen[measured.metric])} at "
            f"{times(chosen['speedup'])}."
        )
    return (
        f"Line chart of {metric} against examples per second, {data}: the chosen point keeps "
        f"{hundredfold(chosen[measured.metric])} at {rate(chosen['throughput_per_s'])} per second one at a time, "
        f"{rate(chosen['throughput_best_batch_per_s'])} at best batch."
    )


def _paper_protocol(run: Path) -> str:
    """The second set of measurements, where the paper's protocol was run too."""
    folder = run / "cascade" / "paper"
    if not (folder / "summary.json").is_file():
        return ""
    measured = read_measured(folder)
    return section(
        "By the paper’s protocol",
        paragraph(_how_timed(measured.summary), "note"),
        tables.main_table(measured),
        tables.speedup_table(measured),
    )


def _transfer_set(run: Path) -> str:
    manifests = read_json_files(run, "manifest.json")
    if not manifests:
        return ""
    stage, content = max(
        manifests.items(), key=lambda item: len(item[1])
    )  # the labelled set's holds all of the other's
    rest = {key: value for key, value in content.items() if key != "confidence"}  # has a table of its own
    return tables.mapping_table(f"Transfer set: manifest of stage {stage}", rest)


def _provenance(run: Path, measured: Measured) -> str:
    summary = measured.summary
    records = read_json_files(run, "stage.json")
    stages = "".join(
        details(f"Stage {stage}", tables.mapping_table(f"{stage}/stage.json", record))
        for stage, record in records.items()
    )
    return (
        tables.mapping_table("Machine", summary.get("machine") or {})
        + tables.mapping_table("Versions and seed", {**(summary.get("versions") or {}), "seed": summary.get("seed")})
        + details("Speed by batch size", tables.batch_table(measured))
        + stages
    )

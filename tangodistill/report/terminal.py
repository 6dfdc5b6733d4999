"""The measured cascade as a table in the terminal: what a reader of the log wants first."""

from collections.abc import Callable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tangodistill.cascade.intervals import MEASURED
from tangodistill.report.figures import data_name
from tangodistill.report.headline import first_tier_alone, headline, promise, warnings
from tangodistill.report.markup import NONE, hundredfold, percent, rate, times, within
from tangodistill.report.run_files import Measured
from tangodistill.report.titles import hundredfold_heading

WIDTH = 100  # where the terminal doesn't say more


def print_summary(measured: Measured) -> None:
    """Print what a reader is told first and `summary_table`, unfolded where the output is a file."""
    console, summary = Console(highlight=False), measured.summary
    console.width = max(console.width, WIDTH)
    console.print(summary_table(summary))
    told = (headline(measured), promise(summary), first_tier_alone(measured))
    for line in filter(None, (*told, *(f"Warning: {each}" for each in warnings(measured)))):
        console.print(line, markup=False)


def summary_table(summary: Mapping) -> Table:
    """Metric, speed and deferral of both tiers and of the chosen cascades, with 95 % intervals, on the report role.

    Args:
        summary: contents of summary.json.
    """
    chosen, (first, second), spans = summary["chosen"], summary["tiers"], summary.get("intervals", {})
    table = Table(title=data_name(summary), caption=f"chosen on {chosen['chosen_on']}: {chosen['target']}")
    for name in (
        "",
        escape(hundredfold_heading(summary)),
        "speed, batch 1",
        "speed, best batch",
        "examples/s, best batch",
        "deferred",
    ):
        table.add_column(name, justify="left" if not name else "right")

    for way, fastest in summary.get("reference", {}).items():
        second = {**second, f"throughput_{way}_per_s": fastest["throughput_per_s"]}

    def cell(value: str, name: str, show: Callable[[float], str]) -> str:
        return within(value, spans.get(name), show)

    def alone(number: int, tier: Mapping, deferred: str) -> tuple[str, ...]:
        ratios = (tier[key] / second[key] for key in ("throughput_batch1_per_s", "throughput_best_batch_per_s"))
        speed = tier["throughput_best_batch_per_s"]
        value = cell(hundredfold(tier["metrics"][metric]), f"tier{number}/{metric}", hundredfold)
        return (value, *map(times, ratios), rate(speed), deferred)

    metric = summary["metric"]
    table.add_row(f"second tier ({second['name']})", *alone(2, second, "all"))
    table.add_row(f"first tier ({first['name']})", *alone(1, first, "none"))
    table.add_row(
        "cascade, chosen",
        cell(hundredfold(chosen["metric_value"]), "chosen/metric_value", hundredfold),
        cell(times(chosen.get("measured_speedup_batch1", chosen["speedup"])), MEASURED["batch1"], times),
        cell(times(chosen["measured_speedup_best_batch"]), MEASURED["best_batch"], times),
        rate(summary["n"] / chosen["measured_s"]),
        cell(percent(chosen["deferral_rate"]), "chosen/deferral_rate", percent),
        style="bold",
    )
    if (certain := summary.get("chosen_with_confidence", {})).get("threshold") is not None:
        table.add_row(
            f"cascade, {100 * certain['confidence']:g} % sure",
            cell(hundredfold(certain["metric_value"]), "chosen_with_confidence/metric_value", hundredfold),
            cell(times(certain["speedup"]), "chosen_with_confidence/speedup", times),
            cell(times(certain["speedup_best_batch"]), "chosen_with_confidence/speedup_best_batch", times),
            rate(summary["n"] / certain["predicted_s"]),
            cell(percent(certain["deferral_rate"]), "chosen_with_confidence/deferral_rate", percent),
        )
    elif certain:
        table.caption += f"\n{certain['reason']}"
    if point := summary.get("deebert", {}).get("point_at_99"):
        (batched,) = (each for each in summary["deebert"]["batched"] if each["keeps"] == 0.99)
        table.add_row(
            "DeeBERT at 99 %",
            hundredfold(point["metric_value"]),
            times(point["speedup"]),
            times(batched["speedup"]),
            rate(batched["throughput_per_s"]),
            NONE,
        )
    if point := summary.get("dynamic_tinybert", {}).get("point_at_99"):
        value, speed = hundredfold(point["metric_value"]), times(point["speedup"])
        table.add_row("Dynamic-TinyBERT at 99 %", value, speed, NONE, NONE, NONE)
    return table

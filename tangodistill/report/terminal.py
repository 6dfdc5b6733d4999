"""The measured cascade as a table in the terminal: what a reader of the log wants first."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tangodistill.report.figures import data_name
from tangodistill.report.markup import NONE, hundredfold, percent, rate, times
from tangodistill.report.titles import hundredfold_heading

WIDTH = 100  # where the terminal doesn't say more


def print_summary(summary: Mapping) -> None:
    """Print `summary_table`, unfolded where the output is a file."""
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(summary_table(summary))


def summary_table(summary: Mapping) -> Table:
    """Metric, speed and deferral of both tiers and of the chosen cascades, on the report role.

    Args:
        summary: contents of summary.json.
    """
    chosen, (first, second) = summary["chosen"], summary["tiers"]
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

    def alone(tier: Mapping, deferred: str) -> tuple[str, ...]:
        ratios = (tier[key] / second[key] for key in ("throughput_batch1_per_s", "throughput_best_batch_per_s"))
        speed = tier["throughput_best_batch_per_s"]
        return (hundredfold(tier["metrics"][summary["metric"]]), *map(times, ratios), rate(speed), deferred)

    table.add_row(f"second tier ({second['name']})", *alone(second, "all"))
    table.add_row(f"first tier ({first['name']})", *alone(first, "none"))
    table.add_row(
        "cascade, chosen",
        hundredfold(chosen["metric_value"]),
        times(chosen.get("measured_speedup_batch1", chosen["speedup"])),
        times(chosen["measured_speedup_best_batch"]),
        rate(summary["n"] / chosen["measured_s"]),
        percent(chosen["deferral_rate"]),
        style="bold",
    )
    if (certain := summary.get("chosen_with_confidence", {})).get("threshold") is not None:
        table.add_row(
            f"cascade, {100 * certain['confidence']:g} % sure",
            hundredfold(certain["metric_value"]),
            times(certain["speedup"]),
            times(certain["speedup_best_batch"]),
            rate(summary["n"] / certain["predicted_s"]),
            percent(certain["deferral_rate"]),
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

"""What a run's metrics are called in tables, figures and sentences."""

from collections.abc import Mapping

from tangodistill.metrics import metric_title

METRICS = ("accuracy", "em", "f1", "mcc")
"""All there are, in the order in which tables show them."""


def title(summary: Mapping, metric: str | None = None) -> str:
    """A metric's name within a sentence, by default that of the run's own.

    Args:
        summary: contents of summary.json.

    >>> title({"metric": "f1", "label_names": ["fraud", "legit"], "positive": "fraud"})
    'F1 of fraud'
    """
    return metric_title(metric or summary["metric"], summary.get("label_names", ()), summary.get("positive"))


def heading(summary: Mapping, metric: str | None = None) -> str:
    """The same with a capital, as tables and figures are headed.

    >>> heading({"metric": "accuracy"})
    'Accuracy'
    """
    name = title(summary, metric)
    return name[0].upper() + name[1:]


def hundredfold_heading(summary: Mapping, metric: str | None = None) -> str:
    """Of a column that holds a metric times 100.

    >>> hundredfold_heading({"metric": "mcc"})
    'MCC (×100)'
    """
    return f"{heading(summary, metric)} (×100)"

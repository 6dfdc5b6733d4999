"""Predicted against measured time of the chosen point, in words."""

from collections.abc import Mapping
from typing import Any

TOLERANCE = 0.1
"""Of the predicted time, before a difference is told."""


def time_gap(chosen: Mapping[str, Any]) -> str | None:
    """Sentences where both times of a way of use differ by more than a tenth, with the cause as far as it is known.

    In batches the prediction takes the mean time of a batch over all examples. Where the deferred ones are longer, or
    pad more in their shorter queue, each costs the second tier more tokens than that.

    >>> time_gap({"predicted_s": 1.0, "measured_s": 1.05}) is None
    True
    """
    runs = chosen.get("runs") or {"best_batch": chosen}  # of the same examples each
    told = [_in_batches(runs["best_batch"], chosen.get("tokens_per_text")), _one_at_a_time(runs.get("batch1"))]
    return " ".join(filter(None, told)) or None


def _gap(run: Mapping[str, Any]) -> float | None:
    """Of the predicted time, where it is to be told."""
    gap = run["measured_s"] / run["predicted_s"] - 1
    return gap if abs(gap) > TOLERANCE else None


def _one_at_a_time(run: Mapping[str, Any] | None) -> str | None:
    if run is None or (gap := _gap(run)) is None:
        return None
    return (
        f"One at a time it took {run['measured_s']:.3f} s, {gap:+.0%} of the {run['predicted_s']:.3f} s predicted. "
        "Other work on this machine?"
    )


def _in_batches(run: Mapping[str, Any], tokens: Mapping[str, float] | None) -> str | None:
    gap = _gap(run)
    if gap is None:
        return None
    measured_s, predicted_s = run["measured_s"], run["predicted_s"]
    told = f"the chosen operating point took {measured_s:.3f} s, {gap:+.0%} of the {predicted_s:.3f} s predicted."
    if not tokens or gap * (tokens["deferred"] - tokens["all"]) <= 0:
        return f"{told} Other work on this machine? Measure again at rest: --force cascade."
    more = tokens["deferred"] / tokens["all"] - 1
    return (
        f"{told} The second tier ran {tokens['deferred']:.1f} tokens for a deferred text, padding included, against "
        f"{tokens['all']:.1f} over all texts ({more:+.0%}), which the prediction leaves out; beyond that, other work "
        "on this machine is the usual cause."
    )

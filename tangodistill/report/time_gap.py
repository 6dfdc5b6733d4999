"""Predicted against measured time of the chosen point, in words."""

from collections.abc import Mapping
from typing import Any

TOLERANCE = 0.1
"""Of the predicted time, before a difference is told."""


def time_gap(chosen: Mapping[str, Any]) -> str | None:
    """One or two sentences where the two times differ by more than a tenth, with the cause as far as it is known.

    The prediction takes the mean time of a batch over all examples. Where the deferred ones are longer, or pad more in
    their shorter queue, each costs the second tier more tokens than that.

    >>> time_gap({"predicted_s": 1.0, "measured_s": 1.05}) is None
    True
    """
    predicted_s, measured_s = chosen["predicted_s"], chosen["measured_s"]
    gap = measured_s / predicted_s - 1
    if abs(gap) <= TOLERANCE:
        return None
    told = f"the chosen operating point took {measured_s:.3f} s, {gap:+.0%} of the {predicted_s:.3f} s predicted."
    tokens = chosen.get("tokens_per_text")
    if not tokens or gap * (tokens["deferred"] - tokens["all"]) <= 0:
        return f"{told} Other work on this machine? Measure again at rest: --force cascade."
    more = tokens["deferred"] / tokens["all"] - 1
    return (
        f"{told} The second tier ran {tokens['deferred']:.1f} tokens for a deferred text, padding included, against "
        f"{tokens['all']:.1f} over all texts ({more:+.0%}), which the prediction leaves out; beyond that, other work "
        "on this machine is the usual cause."
    )

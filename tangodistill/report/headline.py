"""What a reader is told first: what is gained, what it costs as far as the numbers tell, and what is promised."""

import re
from collections.abc import Mapping

from tangodistill.report.markup import hundredfold, percent, plain, spread, times
from tangodistill.report.run_files import Measured
from tangodistill.report.titles import title

CUT = 0.1
"""Of the texts or of their tokens, beyond which it is warned of that a tier doesn't read them."""


def headline(measured: Measured) -> str:
    """The sentence a manager reads: what is gained, and what it costs."""
    speed, interval = best_batch_speed(measured)
    gained = f"{times(speed)} faster than the teacher ({spread(interval, times)})"
    if speed < 1.05:
        gained = f"no faster than the teacher here ({times(speed)}, {spread(interval, times)})"
    elif interval[0] <= 1:
        gained = f"not surely faster than the teacher ({times(speed)}, {spread(interval, times)})"
    verb = "is" if gained.startswith("no") else "answers"
    return f"The cascade {verb} {gained} and keeps {_kept(measured)}."


def lead(measured: Measured) -> str:
    """The first paragraph: how it works here, and what is promised of unseen data."""
    chosen, intervals = measured.summary["chosen"], measured.intervals
    rate, source = chosen["deferral_rate"], "measured" if chosen.get("measured_s") else "predicted"
    one_by_one, how = single_speed(measured)
    kept = tuple(1 - bound for bound in reversed(intervals["chosen/deferral_rate"]))
    sentences = [
        f"{percent(1 - rate)} of the examples ({spread(kept, percent)}) are answered by the first tier, the others by "
        f"the teacher. The speed is {source} in batches, through the queue; one example at a time it is {how} "
        f"at {times(one_by_one)} ({spread(intervals['chosen/measured_speedup_batch1'], times)}).",
        f"The threshold was chosen on {chosen['chosen_on']}: {chosen['target']}.",
        promise(measured.summary),
        first_tier_alone(measured),
        "In brackets: 95 % intervals.",
    ]
    return " ".join(filter(None, sentences))


def best_batch_speed(measured: Measured) -> tuple[float, tuple[float, float]]:
    """How many times faster than the teacher the chosen point ran in batches (predicted where it was not run)."""
    chosen, second_s = measured.summary["chosen"], measured.second_only["time_best_batch_s"]
    took_s = chosen.get("measured_s") or chosen["predicted_s"]
    speed = chosen.get("measured_speedup_best_batch") or second_s / took_s
    return speed, measured.intervals["chosen/measured_speedup_best_batch"]


def single_speed(measured: Measured) -> tuple[float, str]:
    """The same one example at a time, and whether it was measured or predicted."""
    chosen = measured.summary["chosen"]
    if run := chosen.get("measured_speedup_batch1"):
        return run, "measured"
    return measured.point_at(chosen["deferral_rate"])["speedup"], "predicted"


def target_share(summary: Mapping) -> float | None:
    """The share of the teacher's metric that the threshold was chosen to keep; None for another kind of target.

    >>> target_share({"chosen": {"target": "keep 0.99 of tier 2"}}), target_share({"chosen": {"target": "defer ..."}})
    (0.99, None)
    """
    found = re.match(r"keep ([\d.]+) of tier 2", summary["chosen"]["target"])
    return float(found[1]) if found else None


def promise(summary: Mapping) -> str:
    """What is certified of unseen data, or what it would take; empty for a run from before this was asked."""
    certain = summary.get("chosen_with_confidence")
    if not certain:
        return ""
    if certain["threshold"] is None:
        return f"No guarantee: {certain['reason']}."
    return (
        f"With {100 * certain['confidence']:g} % confidence, a threshold of {certain['threshold']:.6g} meets the "
        f"target on unseen data of the same kind too, by {certain['method']}; here it defers "
        f"{percent(certain['deferral_rate'])} and is {times(certain['speedup_best_batch'])} faster at best batch "
        "(predicted)."
    )


def first_tier_alone(measured: Measured) -> str:
    """Said where there is nothing to choose: the first tier meets the target without deferring; else empty."""
    share, wanted = measured.share_of_second(measured.first_only[measured.metric]), target_share(measured.summary)
    if share is None or wanted is None or share < wanted:
        return ""
    return (
        f"The first tier alone keeps {percent(share)} ({spread(measured.intervals['tier1/share_kept'], percent)}) and "
        "so meets the target by itself: cascade, random deferral and oracle coincide there."
    )


def warnings(measured: Measured) -> list[str]:
    """What a reader must know before trusting a number."""
    summary = measured.summary
    told = [*summary.get("warnings", ()), *map(cut_warning, summary["tiers"], (1, 2))]
    if measured.busy:
        told.append("other processes were at work on the machine while the times were taken.")
    told += [other_answers(way, run) for way, run in summary["chosen"].get("runs", {}).items()]
    return [each for each in told if each]


def cut_warning(tier: Mapping, number: int) -> str:
    """Said of a tier that doesn't read more than a tenth of the texts whole, or of their tokens; else empty.

    >>> cut_warning({"name": "student", "cut": {"max_length": 128, "texts": 0.43, "tokens": 0.2}}, 1)
    'Tier 1 (student) reads 128 tokens of a text: 43.0 % of the texts are cut, and 20.0 % of their tokens lost.'
    >>> cut_warning({"name": "student"}, 1)
    ''
    """
    cut = tier.get("cut")
    if not cut or max(cut["texts"], cut["tokens"]) <= CUT:
        return ""
    return (
        f"Tier {number} ({tier['name']}) reads {plain(cut['max_length'])} tokens of a text: {percent(cut['texts'])} of "
        f"the texts are cut, and {percent(cut['tokens'])} of their tokens lost."
    )


def other_answers(way: str, run: Mapping) -> str:
    """Said where the cascade as it was served gave other answers than those that are scored; else empty.

    >>> other_answers("batch1", {"other_answers": 3, "n": 200, "metric_value": 0.9, "scored_metric_value": 0.91})
    'Served one at a time, 3 of 200 answers are others than the scored ones: 90.0 where 91.0 is reported.'
    """
    if not run.get("other_answers"):
        return ""
    served = {"batch1": "one at a time", "best_batch": "in batches"}[way]
    return (
        f"Served {served}, {run['other_answers']:,} of {run['n']:,} answers are others than the scored ones: "
        f"{hundredfold(run['metric_value'])} where {hundredfold(run['scored_metric_value'])} is reported."
    )


def _kept(measured: Measured) -> str:
    """The share of the teacher's metric with its interval, and what that says of the target."""
    value, name = measured.summary["chosen"]["metric_value"], title(measured.summary)
    share, interval = measured.share_of_second(value), measured.intervals.get("chosen/share_kept")
    if share is None or interval is None:
        return f"{name} at {hundredfold(value)} ({spread(measured.intervals['chosen/metric_value'], hundredfold)})"
    told = f"{percent(share)} of its {name} ({spread(interval, percent)})"
    wanted = target_share(measured.summary)
    if wanted is None or interval[0] >= wanted:
        return told
    if interval[1] < wanted:
        return f"{told}, less than the {100 * wanted:g} % asked for"
    return f"{told}: {measured.counted} are too few to tell whether that is {100 * wanted:g} %"

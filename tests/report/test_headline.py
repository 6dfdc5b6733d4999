"""What a reader is told first."""

import doctest
import json

import numpy as np
import pytest
from synthetic_run import random_logits, write_run

from tangodistill.report import headline as module
from tangodistill.report.headline import first_tier_alone, headline, lead, warnings
from tangodistill.report.run_files import read_measured
from tangodistill.report.terminal import print_summary


def changed(run, change=lambda summary: None, **intervals):
    """A run read anew, with other numbers in its summary, and other intervals."""
    path = run / "cascade" / "summary.json"
    summary = json.loads(path.read_text())
    summary["intervals"] = {**read_measured(run / "cascade").intervals, **intervals}
    change(summary)
    path.write_text(json.dumps(summary))
    return read_measured(run / "cascade")


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path, *random_logits(222, 0))
    return tmp_path


def test_few_rows_tell_neither_more_nor_less_than_the_target(run):
    """Two texts of 222 are no "keeps 99.1 %"."""
    measured = read_measured(run / "cascade")  # as an earlier version left it: without intervals
    assert "intervals" not in measured.summary
    low, high = measured.intervals["chosen/share_kept"]
    speed = measured.intervals["chosen/measured_speedup_best_batch"]
    assert headline(measured) == (
        f"The cascade answers 1.7× faster than the teacher ({speed[0]:.1f}–{speed[1]:.1f}×) and keeps 99.1 % of its "
        f"accuracy ({100 * low:.1f}–{100 * high:.1f} %): 222 rows are too few to tell whether that is 99 %."
    )


@pytest.mark.parametrize(
    ("interval", "ending"),
    [
        ((0.992, 0.996), "keeps 99.1 % of its accuracy (99.2–99.6 %)."),
        ((0.97, 0.985), "keeps 99.1 % of its accuracy (97.0–98.5 %), less than the 99 % asked for."),
    ],
)
def test_an_interval_on_one_side_of_the_target_tells(run, interval, ending):
    assert headline(changed(run, **{"chosen/share_kept": interval})).endswith(ending)


def test_groups_are_counted_where_rows_hang_together(run):
    path = run / "cascade" / "predictions.parquet"
    frame = read_measured(run / "cascade").predictions
    frame.assign(group=np.arange(222) // 10).to_parquet(path)
    assert "222 rows in 23 groups are too few to tell" in headline(read_measured(run / "cascade"))


@pytest.mark.parametrize(
    ("measured_s", "interval", "words"),
    [
        (1e6, (0.0, 0.0), "The cascade is no faster than the teacher here (0.00×, 0.0"),
        (0.5, (0.9, 1.9), "The cascade is not surely faster than the teacher (1.4×, 0.90–1.9×)"),
    ],
)
def test_a_gain_that_is_none_or_unsure_is_no_gain(run, measured_s, interval, words):
    name = "chosen/measured_speedup_best_batch"
    assert words in headline(changed(run, lambda s: s["chosen"].update(measured_s=measured_s), **{name: interval}))


def test_the_first_paragraph_holds_the_promise(run):
    measured = read_measured(run / "cascade")
    assert "No guarantee: 111 calibration examples are too few to keep 0.99 of tier 2" in lead(measured)
    certain = {"confidence": 0.95, "method": "a test", "threshold": 0.98, "deferral_rate": 0.5}
    certain |= {"speedup_best_batch": 2.0, "metric_value": 0.9}
    measured = changed(run, lambda s: s.update(chosen_with_confidence=certain))
    assert "With 95 % confidence, a threshold of 0.98 meets the target on unseen data" in lead(measured)
    measured = changed(run, lambda s: s.pop("chosen_with_confidence"))
    assert "guarantee" not in lead(measured)


def test_a_first_tier_that_is_enough_by_itself_is_said(tmp_path):
    labels, _, good = random_logits(200, 3)
    write_run(tmp_path, labels, good, good)
    told = first_tier_alone(read_measured(tmp_path / "cascade"))
    assert told.startswith("The first tier alone keeps 100.0 % (")
    assert told.endswith("so meets the target by itself: cascade, random deferral and oracle coincide there.")
    assert told in lead(read_measured(tmp_path / "cascade"))


def test_it_is_not_said_of_a_first_tier_that_is_not(run):
    assert first_tier_alone(read_measured(run / "cascade")) == ""


def test_warnings_are_gathered(run):
    cut = {"max_length": 128, "texts": 0.43, "tokens": 0.2}

    def change(summary):
        summary["tiers"][0]["cut"] = cut
        summary["tiers"][1]["cut"] = {"max_length": 512, "texts": 0.1, "tokens": 0.01}
        summary.update(warnings=["The student is at chance."], load={"busy": True})

    assert warnings(changed(run, change)) == [
        "The student is at chance.",
        "Tier 1 (student) reads 128 tokens of a text: 43.0 % of the texts are cut, and 20.0 % of their tokens lost.",
        "other processes were at work on the machine while the times were taken.",
    ]


def test_the_terminal_tells_what_the_page_does(run, capsys):
    def change(summary):
        summary["chosen"] |= {"speedup": 1.6, "measured_speedup_best_batch": 1.7}
        summary["warnings"] = ["The student [bold] is at chance."]

    measured = changed(run, change)
    print_summary(measured)
    shown = " ".join(capsys.readouterr().out.split())
    for told in (headline(measured), "No guarantee: 111", "Warning: The student [bold] is at chance."):
        assert told in shown
    low, high = measured.intervals["chosen/deferral_rate"]
    assert f"{100 * low:.1f}–{100 * high:.1f} %" in shown


def test_doctests():
    assert doctest.testmod(module).failed == 0

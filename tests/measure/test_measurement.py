"""What is timed is what is served, on a clock that engines and answers wind by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from tangodistill.cascade.summary import operating_points
from tangodistill.cascade.timing import timing_of
from tangodistill.latency import sample, timer
from tangodistill.measure.real_runs import different_answers, references, run_for_real
from tangodistill.measure.role_answers import LabelAnswers
from tangodistill.measure.times import REFERENCE_TIER, TimedEngines, time_tiers
from tangodistill.predictor.answers import LabelReadout
from tangodistill.predictor.served import alone, is_turn, one_at_a_time, serving

NAMES = ("no", "yes")
READOUT = LabelReadout(NAMES)
ANSWER_S = 0.03  # that an answer's object takes
N = 60


class Engine:
    """Answers a text of digits by its last one, and takes so long for a batch, plus the characters in it."""

    label_names = NAMES
    facts = SimpleNamespace(kind="classification", outputs=2, exact_length=False, source="fake")
    precision = "fp32"

    def __init__(self, clock, name, batch_s, logits, wrong_in_batches=False):
        self.clock, self.name, self.batch_s, self.logits, self.wrong = clock, name, batch_s, logits, wrong_in_batches
        self.threads = 1
        self.asked = []

    @property
    def encoder(self):
        return self

    def encode(self, texts, pairs=None):
        return texts

    def lengths(self, texts, pairs=None):
        return np.array([len(text) for text in texts])

    def outputs(self, texts, pairs=None, batch_size=1):
        return np.concatenate([outputs for _, outputs in self.batches(texts, pairs, batch_size)])

    def run(self, texts, batch_size=1):
        return self.batches(texts, None, batch_size)

    def batches(self, texts, pairs=None, batch_size=1, pad_to_max=False):
        for start in range(0, len(texts), batch_size):
            rows = np.arange(start, min(start + batch_size, len(texts)))
            self.asked += [texts[row] for row in rows]
            self.clock.now += self.batch_s + sum(len(texts[row]) for row in rows) / 1000
            sign = -1 if self.wrong and len(rows) > 1 else 1
            yield rows, sign * np.array([self.logits[texts[row]] for row in rows], np.float32)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(timer, "perf_counter", lambda: clock.now)
    predictions = LabelReadout.predictions

    def slow(self, outputs, *rest):
        clock.now += ANSWER_S * len(outputs)
        return predictions(self, outputs, *rest)

    monkeypatch.setattr(LabelReadout, "predictions", slow)
    return clock


def made(clock, wrong_in_batches=False):
    """The engines, and the answers of a metric pass; the first tier is right on half of what it is unsure of."""
    rng = np.random.default_rng(0)
    texts = [f"{i:02d}" + "x" * int(rng.integers(1, 200)) for i in range(N)]
    labels = rng.integers(0, 2, N)
    sure = rng.random(N).astype(np.float32) + 0.1
    right = np.where(sure > 0.6, True, rng.random(N) < 0.5)
    first = ((2 * labels - 1) * np.where(right, sure, -sure))[:, None] * np.array([-1, 1])
    second = (2 * labels - 1)[:, None] * np.array([-3, 3])
    logits = [dict(zip(texts, tier, strict=True)) for tier in (first, second)]
    tiers = Engine(clock, "a", 0.5, logits[0]), Engine(clock, "b", 4.0, logits[1], wrong_in_batches)
    single, batched = Engine(clock, "c", 2.0, logits[1]), Engine(clock, "d", 3.0, logits[1])
    engines = TimedEngines(tiers, single, batched, READOUT, {1: 4, 2: 4, REFERENCE_TIER: 8})
    outputs = first.astype(np.float32), second.astype(np.float32)
    return engines, LabelAnswers([str(i) for i in range(N)], texts, None, outputs, READOUT, list(range(N)), labels)


def test_a_time_is_that_of_the_whole_call_and_of_the_engines_that_were_tuned_for_it(clock):
    engines, answers = made(clock)
    times = time_tiers(engines, {"report": answers}, 2, {})
    frame, characters = times.frames["report"], np.array([len(text) for text in answers.texts]) / 1000
    assert frame["timed"].all()
    np.testing.assert_allclose(frame["tier1_time_s"], 0.5 + characters + ANSWER_S)
    np.testing.assert_allclose(frame["tier2_time_s"], 4.0 + characters)
    np.testing.assert_allclose(frame["second_only_time_s"], 2.0 + characters + ANSWER_S)
    timing = times.timing("report")
    assert timing.reference.best_batch_s == pytest.approx(3.0 * np.ceil(N / 8) + characters.sum() + N * ANSWER_S)
    assert N * timing.tiers[0].best_batch_s == pytest.approx(0.5 * N / 4 + characters.sum() + N * ANSWER_S)
    points = operating_points(answers.outcomes, answers.confidences, timing)
    second_only = {name: column[-1] for name, column in points.items()}
    assert second_only["time_s"] == pytest.approx(frame["second_only_time_s"].sum())
    assert second_only["time_best_batch_s"] == timing.reference.best_batch_s
    assert times.under_load == []


def test_a_deferred_example_comes_after_some_that_were_not(clock):
    """As in use, where the second tier's weights have left the cache and its threads sleep."""
    engines, answers = made(clock)
    first, second = engines.tiers
    turns = [
        run
        for name, run in one_at_a_time(engines.tiers, engines.single, READOUT, answers.texts, None).items()
        if is_turn(name)
    ]
    deferred = []
    for run in turns:
        first.asked.clear(), second.asked.clear()
        for i in range(N):
            run(i)
        assert first.asked == answers.texts
        places = [answers.texts.index(text) for text in second.asked]
        assert set(np.diff(places)) == {5}
        deferred += places
    assert sorted(deferred) == list(range(N))


def test_a_sample_is_timed_and_stands_for_all(clock, monkeypatch):
    monkeypatch.setattr(sample, "TIMED", 20)
    engines, answers = made(clock)
    beside = []
    times = time_tiers(engines, {"report": answers}, 2, {"beside": beside.append})
    frame, rows = times.frames["report"], times.samples["report"].rows
    assert frame["timed"].sum() == 20 and set(beside) == set(range(20))
    assert set(engines.single.asked) == {answers.texts[row] for row in rows}
    assert set(times.batches["n"]) == {20} and times.beside_s["beside"].shape == (N,)
    characters = np.array([len(text) for text in answers.texts]) / 1000
    for part in (np.ones(N, bool), answers.confidences[0] < np.float32(0.6)):  # the deferred are no random part
        assert frame["tier2_time_s"][part].mean() == pytest.approx((4.0 + characters[part]).mean(), rel=0.01)


@pytest.mark.parametrize("wrong_in_batches", [False, True])
@pytest.mark.parametrize("timed", [N, 24])
def test_the_chosen_point_is_run_in_both_ways_and_its_own_answers_are_scored(
    clock, monkeypatch, wrong_in_batches, timed
):
    monkeypatch.setattr(sample, "TIMED", timed)
    engines, answers = made(clock, wrong_in_batches)
    times = time_tiers(engines, {"report": answers}, 2, {})
    rows = times.samples["report"].rows
    part = answers.select(rows)
    timing = timing_of(times.frames["report"].iloc[rows], times.batches, times.best)
    threshold = float(np.median(part.confidences[0]))
    deferred = part.confidences[0] < np.float32(threshold)
    cascade = serving(engines.tiers, READOUT, False, times.best, threshold)
    second_only = {
        "batch1": alone(engines.single, READOUT, False),
        "best_batch": alone(engines.batched, READOUT, False, 8),
    }
    runs = run_for_real(cascade, second_only, part, timing, "accuracy", 2)

    one, many = runs["batch1"], runs["best_batch"]
    assert one["n"] == many["n"] == timed and 0 < deferred.sum() < timed
    assert one["measured_s"] == pytest.approx(one["predicted_s"])
    assert many["measured_s"] == pytest.approx(many["predicted_s"], rel=0.1)
    assert one["speedup"] == pytest.approx(timing.reference.example_s.sum() / one["measured_s"])
    right = np.where(deferred, True, part.right)
    assert one["metric_value"] == one["scored_metric_value"] == pytest.approx(right.mean())
    assert one["other_answers"] == 0 and one["second_only_metric_value"] == 1
    expected = int(deferred.sum()) - (deferred.sum() % 4 == 1) if wrong_in_batches else 0
    assert many["other_answers"] == expected
    assert many["metric_value"] == pytest.approx(right.mean() - expected / timed)
    told = different_answers(runs)
    if wrong_in_batches:
        assert told == (
            f"{expected} of {timed} answers served in batches are not those that were scored: their metric is "
            f"{many['metric_value']:.4f}, of the scored ones {right.mean():.4f}"
        )
    else:
        assert told is None

    points = operating_points(answers.outcomes, answers.confidences, times.timing("report"))
    found = references(engines, times.sizes, points, runs)
    assert [(each["engine"], each["batch_size"]) for each in found.values()] == [("c", 1), ("d", 8)]
    assert found["batch1"]["throughput_per_s"] == pytest.approx(N / found["batch1"]["seconds"])


def test_nothing_is_timed_twice_where_the_cascade_runs_the_fastest_setting(clock):
    engines, answers = made(clock)
    second = engines.tiers[1]
    for sizes in ({1: 4, 2: 4, REFERENCE_TIER: 4}, None):
        same = TimedEngines(engines.tiers, second, second, READOUT, sizes)
        times = time_tiers(same, {"report": answers}, 2, {})
        assert set(times.batches["tier"]) == {1, 2} and times.sizes[REFERENCE_TIER] == times.sizes[2]

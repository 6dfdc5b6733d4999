from tangodistill.report.time_gap import time_gap


def test_a_small_difference_is_not_told():
    assert time_gap({"predicted_s": 1.0, "measured_s": 0.91}) is None


def test_longer_deferred_texts_are_named_as_the_cause():
    tokens = {"all": 25.7, "deferred": 32.8}
    told = time_gap({"predicted_s": 0.638, "measured_s": 0.774, "tokens_per_text": tokens})
    assert told.startswith("the chosen operating point took 0.774 s, +21% of the 0.638 s predicted.")
    assert "32.8 tokens for a deferred text, padding included, against 25.7 over all texts (+28%)" in told


def test_longer_deferred_texts_do_not_explain_a_faster_run():
    tokens = {"all": 25.7, "deferred": 32.8}
    told = time_gap({"predicted_s": 1.0, "measured_s": 0.8, "tokens_per_text": tokens})
    assert told.endswith("Other work on this machine? Measure again at rest: --force cascade.")

"""The cheapest cascade of several first tiers, against loops over every threshold."""

import numpy as np
import pytest

from tangodistill.cascade.confidence import confidence
from tangodistill.tuning.length_choice import cheapest_deferring_tier
from tangodistill.tuning.tier_set import TierSet
from tangodistill.tuning.tuned import Timing

N, KEEP = 80, 0.95
SECOND = Timing(2, "torch-fp32", 1, 4, throughput_batch1_per_s=50.0, throughput_best_batch_per_s=100.0)


class Answered(TierSet):
    """A pair whose engines are the outputs that they would give."""

    def engine(self, tier, key, threads=None):
        return self.tiers[tier - 1][key]

    def outputs(self, engine, batch_size=32):
        return engine


def label_pair(skills):
    """First tiers that are right more often and more surely the more skill they have."""
    rng = np.random.default_rng(0)
    labels, noise = rng.integers(0, 2, N), rng.normal(size=N)

    def logits(skill):
        margin = (2 * labels - 1) * skill + noise
        return np.stack([-margin, margin], axis=1).astype(np.float32)

    tiers = {key: logits(skill) for key, skill in skills.items()}, {SECOND.key: logits(3.0)}
    return Answered(
        ("no", "yes"), "accuracy", ["a"] * N, None, labels.tolist(), tiers=tiers, exported=(), max_length=None
    )


def cost_by_hand(pair, timing):
    """Share deferred, ms per text one at a time and in batches, of the first threshold that keeps enough."""
    first, second = pair.tiers[0][timing.key], pair.tiers[1][SECOND.key]
    right1, right2 = (outputs.argmax(1) == np.array(pair.wanted) for outputs in (first, second))
    sure = confidence(first)
    for threshold in [*sorted(set(sure)), np.float32(2)]:
        deferred = sure < threshold
        if np.where(deferred, right2, right1).mean() >= KEEP * right2.mean():
            own_ms, full, rest = 1000 / timing.throughput_batch1_per_s, *divmod(int(deferred.sum()), 4)
            queue_s = full * 4 / 100 + np.interp(rest, [0, 1, 4], [0, 1 / 50, 4 / 100])
            return deferred.mean(), own_ms + 1000 / 50 * deferred.mean(), own_ms + 1000 * queue_s / N
    raise AssertionError("deferring all keeps all")


@pytest.mark.parametrize("speeds", [(900.0, 600.0, 150.0), (2000.0, 60.0, 30.0)])
def test_it_is_not_the_fastest_but_the_cheapest_in_a_cascade(speeds):
    keys = ["torch-fp32@1-0.1", "torch-fp32@1-0.5", "torch-fp32"]
    pair = label_pair(dict(zip(keys, (0.1, 1.5, 2.5), strict=True)))
    first = [Timing(1, key, 1, 1, each, each) for key, each in zip(keys, speeds, strict=True)]
    best = cheapest_deferring_tier(pair, first, SECOND, KEEP)
    costs = [cost_by_hand(pair, timing) for timing in first]
    found = [(each.deferral_rate, each.cascade_ms, each.cascade_best_batch_ms) for each in first]
    assert found == [pytest.approx(cost) for cost in costs]
    assert best is first[int(np.argmin([ms * batch_ms for _, ms, batch_ms in costs]))]
    assert best is (first[1] if speeds[0] == 900 else first[0])


def test_spans_are_compared_by_their_grades():
    contexts, gold = ["nile river"] * 4, [["nile"]] * 4
    right, wrong = (0, 4), (5, 10)
    spans = lambda places, sure: np.array([[*p, s] for p, s in zip(places, sure, strict=True)], np.float32)  # noqa: E731
    sure = [0.9, 0.8, 0.3, 0.2]
    tiers = (
        {"torch-fp32@0.5": spans([right, wrong, wrong, wrong], sure), "torch-fp32": spans([right] * 3 + [wrong], sure)},
        {SECOND.key: spans([right] * 4, sure)},
    )
    pair = Answered((), "f1", ["where"] * 4, contexts, gold, tiers=tiers, exported=(), max_length=None)
    first = [Timing(1, "torch-fp32@0.5", 1, 1, 200.0, 200.0), Timing(1, "torch-fp32", 1, 1, 100.0, 100.0)]
    assert cheapest_deferring_tier(pair, first, SECOND, 1.0) is first[1]
    assert [timing.deferral_rate for timing in first] == [0.75, 0.25]
    assert first[1].cascade_ms == pytest.approx(10 + 20 / 4)

"""Batches by length: complete, exact where asked, and repeatable."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tangodistill.data.length_batches import length_batches, shuffled_length_batches

lengths_drawn = st.lists(st.integers(1, 9), max_size=60).map(np.array)


@given(lengths=lengths_drawn, batch_size=st.integers(1, 9), exact=st.booleans(), shuffled=st.booleans())
def test_batches_hold_every_text_once(lengths, batch_size, exact, shuffled):
    lengths = lengths.astype(np.int64)
    plan = (
        shuffled_length_batches(lengths, batch_size, seed=0, epoch=0, exact=exact)
        if shuffled
        else length_batches(lengths, batch_size, exact)
    )
    assert sorted(index for batch in plan for index in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= batch_size for batch in plan)
    if exact:
        assert all(len(set(lengths[batch])) == 1 for batch in plan)
        partial = [lengths[batch[0]] for batch in plan if len(batch) < batch_size]
        assert len(partial) == len(set(partial)), "more than one partial batch of a length"


def test_shuffled_batches_follow_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(3, 40, 1000)

    def plan(seed, epoch):
        return [batch.tolist() for batch in shuffled_length_batches(lengths, 16, seed, epoch)]

    assert plan(1, 2) == plan(1, 2)
    assert plan(1, 2) != plan(1, 3) != plan(2, 2)


def test_shuffled_batches_pad_little_and_are_not_sorted():
    lengths = np.random.default_rng(0).integers(3, 40, 5000)
    plan = shuffled_length_batches(lengths, 32, seed=0, epoch=0)
    padded = sum(len(batch) * lengths[batch].max() for batch in plan)
    assert padded < 1.05 * lengths.sum()
    means = [lengths[batch].mean() for batch in plan]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2

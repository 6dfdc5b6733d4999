import doctest

import numpy as np
import pytest
import torch

from tangodistill.measure.cascade_data import RawBatches
from tangodistill.modules import batches as module
from tangodistill.modules.batches import EvaluationBatches, TrainBatches, share
from tangodistill.user_error import UserError


class Texts:
    """Stands in for tokenised texts: row i has length lengths[i]."""

    def __init__(self, lengths):
        self.lengths = np.asarray(lengths)

    def batch(self, rows):
        return {"input_ids": np.asarray(rows)}


def labels_of(rows):
    return {"labels": torch.as_tensor(rows) % 2}


def loader(batch_size=4, exact=False, seed=0, **process):
    lengths = np.random.default_rng(0).integers(1, 9, 50)
    return TrainBatches(Texts(lengths), labels_of, batch_size, seed, exact, **process)


def epoch(batches):
    return [batch["input_ids"].tolist() for _, batch in zip(range(len(batches)), batches, strict=False)]


def test_doctests():
    assert doctest.testmod(module).failed == 0


def test_every_row_comes_once_an_epoch_and_epochs_differ():
    batches = loader()
    first, second = epoch(batches), epoch(batches)
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(50))
    assert first != second


def test_exact_batches_hold_one_length():
    batches = loader(exact=True)
    for rows in epoch(batches):
        assert len(set(batches.texts.lengths[rows])) == 1


def test_a_loader_that_was_cut_off_goes_on_with_the_batch_it_had_not_seen():
    whole = loader()
    order = epoch(whole) + epoch(whole)
    for cut in (0, 3, len(whole), len(whole) + 5):
        cut_off = loader()
        seen = []
        while len(seen) < cut:
            for batch in cut_off:
                seen.append(batch["input_ids"].tolist())
                if len(seen) % len(cut_off) == 0 or len(seen) == cut:
                    break
        resumed = loader()
        resumed.load_state_dict(cut_off.state_dict())
        rest = []
        while len(rest) < len(order) - cut:
            rest += [batch["input_ids"].tolist() for batch in resumed]
        assert seen + rest == order


def test_evaluation_batches_cover_every_row_in_order_of_length():
    texts = Texts([5, 1, 3, 1])
    batches = EvaluationBatches(texts, lambda rows: {"rows": rows}, batch_size=2)
    lengths = [texts.lengths[batch["rows"]].tolist() for batch in batches]
    assert lengths in ([[1, 1], [3, 5]], [[3, 5], [1, 1]], [[1, 1], [5, 3]], [[5, 3], [1, 1]])


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16])
def test_the_mean_over_the_processes_is_the_mean_over_the_batch(n, world):
    losses = np.random.default_rng(n).random(n)
    shares = [share(np.arange(n), rank, world) for rank in range(world)]
    assert np.mean([weight * losses[own].mean() for own, weight in shares]) == pytest.approx(losses.mean())
    taken = np.concatenate([own for own, _ in shares])
    assert set(taken) == set(range(n)) and (n < world or len(taken) == n)


@pytest.mark.parametrize("exact", [False, True])
def test_processes_go_through_the_batches_of_one_in_step(exact):
    whole, *shares = (loader(exact=exact, rank=rank, world=world) for rank, world in ((0, 1), (0, 2), (1, 2)))
    assert len(whole) == len(shares[0]) == len(shares[1])
    for batch, *parts in zip(epoch(whole), *map(epoch, shares), strict=True):
        assert set(sum(parts, [])) == set(batch)


@pytest.mark.parametrize("n, batch_size", [(50, 4), (50, 40), (5, 64), (2, 64)])
@pytest.mark.parametrize("exact", [False, True])
def test_evaluation_is_shared_without_a_row_twice(n, batch_size, exact):
    texts = Texts(np.random.default_rng(0).integers(1, 4, n))
    shares = [EvaluationBatches(texts, lambda i: {"rows": i}, batch_size, exact, rank, world=2) for rank in (0, 1)]
    assert all(len(batches) > 0 for batches in shares)
    assert sorted(row for batches in shares for batch in batches for row in batch["rows"]) == list(range(n))


def test_fewer_rows_than_processes_are_refused():
    with pytest.raises(UserError, match="1 rows cannot be shared by 2 processes. Set trainer.devices to 1"):
        EvaluationBatches(Texts([3]), lambda i: {"rows": i}, 8, world=2)


def test_raw_batches_are_slices_of_every_column():
    batches = list(RawBatches({"texts": list("abcde"), "pairs": None, "labels": [0, 1, 2, 3, 4]}, batch_size=2))
    assert [batch["texts"] for batch in batches] == [["a", "b"], ["c", "d"], ["e"]]
    assert [batch["labels"] for batch in batches] == [[0, 1], [2, 3], [4]]
    assert all(batch["pairs"] is None for batch in batches)

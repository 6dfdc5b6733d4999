import numpy as np
import torch

from tangodistill.modules.batches import EvaluationBatches, TrainBatches


class Texts:
    """Stands in for tokenised texts: row i has length lengths[i]."""

    def __init__(self, lengths):
        self.lengths = np.asarray(lengths)

    def batch(self, rows):
        return {"input_ids": torch.as_tensor(rows)}


def loader(batch_size=4, exact=False, seed=0):
    lengths = np.random.default_rng(0).integers(1, 9, 50)
    return TrainBatches(Texts(lengths), lambda rows: {"labels": torch.as_tensor(rows) % 2}, batch_size, seed, exact)


def epoch(batches):
    return [batch["input_ids"].tolist() for _, batch in zip(range(len(batches)), batches, strict=False)]


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

"""The teacher's logits beside the texts, whatever length these have and wherever the work was cut off."""

import doctest
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Features, Value
from separable import write_encoder

from tangodistill.augment import labelling
from tangodistill.augment.labelling import Labeller, confidence, highest_probability, label
from tangodistill.data.transfer import load_transfer_set, teacher_logits, write_transfer_set
from tangodistill.models.load import load_classifier
from tangodistill.user_error import UserError

TEXTS = ["a good film", "", "bad " * 500, "dull plot", "lovely", "so it is"]


@pytest.fixture(scope="module")
def transfer_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_transfer_set(folder, [pa.table({"text": TEXTS})], Features({"text": Value("string")}), {"key": "k"})
    return str(folder)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Two classifiers that are not trained, one the other's opposite; they read 64 tokens at most."""
    folders = []
    for sign in (1, -1):
        folder = write_encoder(tmp_path_factory.mktemp("teacher"))
        torch.manual_seed(0)
        model, _ = load_classifier(str(folder), ["negative", "positive"])
        model.classifier.weight.data *= 100 * sign
        model.save_pretrained(folder)
        folders.append(str(folder))
    return folders


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(labelling, "SHARD_ROWS", 2)


def logits_of(folder):
    return teacher_logits(load_transfer_set(folder, labelled=True)[0])


def cut_off(transfer_set, teacher, output, monkeypatch):
    """Labels the first shard only."""
    with monkeypatch.context() as patch:
        logits, calls = Labeller.logits, []

        def dies(self, texts, pairs=None):
            if calls:
                raise KeyboardInterrupt
            calls.append(texts)
            return logits(self, texts, pairs)

        patch.setattr(Labeller, "logits", dies)
        with pytest.raises(KeyboardInterrupt):
            label(transfer_set, teacher, str(output))


def test_texts_longer_than_the_teacher_reads(transfer_set, teachers, tmp_path):
    found = logits_of(label(transfer_set, teachers[0], str(tmp_path), max_length=128))
    assert found.shape == (len(TEXTS), 2) and np.isfinite(found).all()
    np.testing.assert_allclose(found, Labeller(teachers[0], 8, 64).logits(TEXTS), atol=0.05)  # bfloat16


def test_what_was_cut_off_goes_on(transfer_set, teachers, tmp_path, monkeypatch):
    cut_off(transfer_set, teachers[0], tmp_path / "cut", monkeypatch)
    for name in ("cut", "whole"):
        label(transfer_set, teachers[0], str(tmp_path / name))
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()
    assert not (tmp_path / "cut" / ".shards").exists()


def test_what_went_on_counts_what_was_done_before(transfer_set, teachers, tmp_path, monkeypatch):
    shown = []

    class Recorded(labelling.Progress):
        def __exit__(self, *raised):
            shown.append((self._first, self.done, self.total))
            super().__exit__(*raised)

    cut_off(transfer_set, teachers[0], tmp_path, monkeypatch)
    monkeypatch.setattr(labelling, "Progress", Recorded)
    label(transfer_set, teachers[0], str(tmp_path))
    assert shown == [(2, len(TEXTS), len(TEXTS))]


def test_what_another_teacher_left_is_not_taken_over(transfer_set, teachers, tmp_path, monkeypatch):
    cut_off(transfer_set, teachers[0], tmp_path / "cut", monkeypatch)
    for name in ("cut", "whole"):
        label(transfer_set, teachers[1], str(tmp_path / name))
    assert np.array_equal(logits_of(tmp_path / "cut"), logits_of(tmp_path / "whole"))
    first = logits_of(label(transfer_set, teachers[0], str(tmp_path / "first")))
    assert not np.allclose(logits_of(tmp_path / "cut"), first, atol=0.05)


def test_a_teacher_that_was_trained_anew_is_another_one(transfer_set, teachers, tmp_path, monkeypatch):
    """In the same place: its path says nothing of its weights."""
    teacher = shutil.copytree(teachers[0], tmp_path / "teacher")
    cut_off(transfer_set, str(teacher), tmp_path / "cut", monkeypatch)
    shutil.copyfile(Path(teachers[1]) / "model.safetensors", teacher / "model.safetensors")
    label(transfer_set, str(teacher), str(tmp_path / "cut"))
    expected = logits_of(label(transfer_set, teachers[1], str(tmp_path / "whole")))
    np.testing.assert_array_equal(logits_of(tmp_path / "cut"), expected)


def test_a_teacher_that_was_moved_is_the_same(transfer_set, teachers, tmp_path, monkeypatch):
    cut_off(transfer_set, teachers[0], tmp_path / "cut", monkeypatch)
    (shard,) = (tmp_path / "cut" / ".shards").glob("*/*.npy")
    np.save(shard, np.full_like(np.load(shard), 7))
    label(transfer_set, str(shutil.copytree(teachers[0], tmp_path / "moved")), str(tmp_path / "cut"))
    assert (logits_of(tmp_path / "cut")[:2] == 7).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_without_finite_logits_is_named(transfer_set, teachers, tmp_path, monkeypatch, value):
    logits = labelling.Labeller.logits

    def broken(labeller, texts, pairs=None):
        found = logits(labeller, texts, pairs)
        found[-1, 0] = value
        return found

    monkeypatch.setattr(labelling.Labeller, "logits", broken)
    with pytest.raises(UserError) as error:
        label(transfer_set, teachers[0], str(tmp_path / "out"))
    assert str(error.value) == (
        f"{transfer_set}, row 1: the teacher {teachers[0]} gave no finite logits (nan, or larger than float16 holds), "
        "which no student can learn from."
    )


def test_an_encoder_is_no_teacher(transfer_set, tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    with pytest.raises(UserError, match="is an encoder without a trained classification head"):
        label(transfer_set, str(encoder), str(tmp_path / "out"))


def test_the_manifest_tells_how_sure_the_teacher_was(transfer_set, teachers, tmp_path):
    rows, manifest = load_transfer_set(label(transfer_set, teachers[0], str(tmp_path)), labelled=True)
    logits = teacher_logits(rows).astype(np.float64)
    highest = [max(np.exp(row)) / sum(np.exp(row)) for row in logits]
    expected = [0] * 10
    for value in highest:
        expected[min(9, int((value - 0.5) / 0.05))] += 1
    found = manifest["confidence"]
    assert found["counts"] == expected and sum(expected) == len(TEXTS)
    np.testing.assert_allclose(found["edges"], np.linspace(0.5, 1, 11))
    assert found["mean"] == pytest.approx(np.mean(highest))
    assert manifest["key"] == "k" and manifest["label_names"] == ["negative", "positive"]


def test_texts_that_the_teacher_is_unsure_of_are_left_out(transfer_set, teachers, tmp_path):
    everything, _ = load_transfer_set(label(transfer_set, teachers[0], str(tmp_path / "all")), labelled=True)
    highest = highest_probability(teacher_logits(everything))
    bound = float(np.median(highest))
    sure, manifest = load_transfer_set(
        label(transfer_set, teachers[0], str(tmp_path / "sure"), min_confidence=bound), labelled=True
    )
    kept = np.flatnonzero(highest >= bound)
    assert sure["text"][:] == [everything[int(row)]["text"] for row in kept] and 0 < len(sure) < len(everything)
    np.testing.assert_array_equal(teacher_logits(sure), teacher_logits(everything)[kept])
    assert (manifest["rows"], manifest["unconfident"]) == (len(kept), len(everything) - len(kept))
    with pytest.raises(UserError, match="min_confidence is 1.1: the teacher is less sure of every text. Give less."):
        label(transfer_set, teachers[0], str(tmp_path / "none"), min_confidence=1.1)


def test_rounding_loses_no_row_of_the_histogram():
    logits = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float16) * 20
    logits[:100] = logits[:100, :1]  # all classes alike
    found = confidence([logits[:123], logits[123:]], 3)
    assert sum(found["counts"]) == 500 and found["counts"][0] >= 100
    assert found["edges"][0] == pytest.approx(1 / 3) and found["edges"][-1] == 1


def test_doctests():
    assert doctest.testmod(labelling).failed == 0

"""The engine of a DeeBERT folder: alone, in batches and exit by exit it says the same."""

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tangodistill.engines.early_exit import EarlyExitEngine
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.models import DeeBertForSequenceClassification
from tangodistill.user_error import UserError

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def folder(bert_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("deebert")
    torch.manual_seed(0)  # of the off-ramps' weights
    model = DeeBertForSequenceClassification.from_classifier(
        AutoModelForSequenceClassification.from_pretrained(bert_folder)
    )
    with torch.no_grad():
        model.off_ramps[0].classifier.weight.mul_(60)
    model.save_pretrained(path)
    AutoTokenizer.from_pretrained(bert_folder).save_pretrained(path)
    return path


@pytest.fixture
def engine(folder):
    return EarlyExitEngine.load(folder, max_length=20)


@pytest.fixture
def threshold(engine, texts):
    """About half of the texts leave early, and none is near it: batches round differently."""
    entropies = np.sort([engine.every_exit(text)[1][0] for text in texts])
    third = len(texts) // 3
    place = third + int(np.argmax(np.diff(entropies[third:-third])))
    assert entropies[place + 1] - entropies[place] > 1e-3
    return float(entropies[place : place + 2].mean())


@pytest.mark.parametrize("padded", [False, True])
def test_every_exit_is_what_the_model_says(engine, texts, folder, padded):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    for text in texts[:8]:
        logits, entropies, seconds = engine.every_exit(text, pad_to_max=padded)
        inputs = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=20, return_tensors="pt")
        with torch.no_grad():
            own = model.all_exits(**inputs)[:, 0]
        np.testing.assert_allclose(logits, own.numpy(), **CLOSE)
        shares = own[0].softmax(-1).tolist()
        assert entropies[0] == pytest.approx(-sum(p * math.log(p) for p in shares if p), abs=1e-4)
        assert entropies.shape == (1,) and seconds.shape == (2,) and 0 < seconds[0] < seconds[1]


def test_without_a_threshold_it_is_the_classifier(engine, bert_folder, texts):
    own = TorchEngine.load(bert_folder, max_length=20).outputs(texts, batch_size=8)
    np.testing.assert_allclose(engine.outputs(texts, batch_size=8), own, **CLOSE)


@pytest.mark.parametrize("batch_size", [1, 3, 16, 64])
@pytest.mark.parametrize("padded", [False, True])
def test_every_text_leaves_where_its_entropy_says(engine, threshold, texts, batch_size, padded):
    engine.leave_below(threshold)
    exits = [engine.every_exit(text) for text in texts]
    expected = [logits[0] if entropies[0] < threshold else logits[1] for logits, entropies, _ in exits]
    assert 0 < sum(entropies[0] < threshold for _, entropies, _ in exits) < len(texts)
    np.testing.assert_allclose(engine.outputs(texts, None, batch_size, padded), expected, **CLOSE)


def test_pairs_are_read(engine, texts):
    logits, _, _ = engine.every_exit("good film", "a dull plot")
    np.testing.assert_allclose(engine.outputs(["good film"], ["a dull plot"])[0], logits[-1], **CLOSE)


def test_another_model_is_refused(bert_folder):
    with pytest.raises(UserError, match="holds a BertForSequenceClassification, which has no off-ramps"):
        EarlyExitEngine.load(bert_folder)

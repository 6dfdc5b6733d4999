"""How much of a text a module reads where nothing says it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from separable import write_encoder

from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models.load import load_classifier
from tangodistill.modules.trained import TrainedModule
from tangodistill.tasks import get_task

LONG = ["the film was good " * 80] * 50  # 320 words, and two special tokens


@pytest.fixture
def module(tmp_path):
    """What `reading_length` needs of a module: a tokenizer, a task and the training texts."""
    tokenizer = load_tokenizer(str(write_encoder(tmp_path / "encoder", positions=512)))
    data = SimpleNamespace(train_texts=lambda: (LONG, None))
    return SimpleNamespace(tokenizer=tokenizer, task=get_task("custom"), trainer=SimpleNamespace(datamodule=data))


def length_of(module, wanted=None, *models):
    return TrainedModule.reading_length(module, wanted, *models)


def test_own_texts_are_read_whole(module):
    assert length_of(module) == 328 == module.tokenizer.model_max_length


def test_a_model_reads_no_more_than_it_has_positions_for(module, tmp_path):
    model, _ = load_classifier(str(write_encoder(tmp_path / "small", positions=64)), ("a", "b"))
    assert length_of(module, None, model) == 64


def test_what_is_asked_for_is_read(module):
    assert length_of(module, 40) == 40
    module.task = replace(module.task, max_length=96)
    assert length_of(module) == 96


@pytest.mark.parametrize(("task", "length"), [("sst2", 64), ("cola", 64), ("mrpc", 128), ("qnli", 128)])
def test_published_tasks_keep_their_lengths(module, task, length):
    module.task = get_task(task)
    assert length_of(module) == length

"""Hashes of model folders: what answers depend on, and nothing else."""

import os
import shutil

import pytest

from tangodistill.data.contents import model_hash


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "a-1.safetensors", "a-2.safetensors"):
        (folder / name).write_text(name)
    return folder


def test_a_copy_elsewhere_is_the_same_model(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "elsewhere")
    (copy / "stage.json").write_text("made on another day")
    (copy / "metrics.json").write_text("{}")
    assert model_hash(copy) == model_hash(str(model))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "a-1.safetensors", "a-2.safetensors"])
def test_what_answers_depend_on_counts(model, name):
    before, times = model_hash(model), (model / name).stat()
    text = (model / name).read_text()
    (model / name).write_text(text[::-1])  # of the same size
    os.utime(model / name, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert model_hash(model) != before


def test_bytes_that_move_from_file_to_file_count(model):
    before = model_hash(model)
    first, second = (model / name for name in ("a-1.safetensors", "a-2.safetensors"))
    first.write_bytes(first.read_bytes() + second.read_bytes())
    second.write_bytes(b"")
    assert model_hash(model) != before


def test_of_a_file_and_of_a_hub_model(model, tmp_path):
    vectors = tmp_path / "glove.txt"
    vectors.write_text("a 1 2 3")
    before = model_hash(vectors)
    vectors.write_text("a 1 2 4")
    assert model_hash(vectors) != before
    assert model_hash("some/hub-model") == "some/hub-model"

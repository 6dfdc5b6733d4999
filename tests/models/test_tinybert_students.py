"""Students of each start, and what is told of a layer map, shape or checkpoint that does not fit."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from tangodistill.models.layers import evenly_spaced
from tangodistill.models.tinybert import (
    Sizes,
    check_teacher,
    checked_layers,
    random_student,
    student_from_checkpoint,
    student_from_layers,
)
from tangodistill.user_error import UserError

NAMES = ("bad", "fine", "good")
SHAPE = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 32, "vocab_size": 40}
SMALLER = Sizes(2, 12, 3, 16)


@pytest.fixture(params=[(BertForSequenceClassification, BertConfig), (RobertaForSequenceClassification, RobertaConfig)])
def teacher(request):
    model, config = request.param
    return model(config(**SHAPE, num_hidden_layers=4, max_position_embeddings=20, num_labels=3))


@pytest.fixture
def general(tmp_path):
    """A general-distilled student as published: pre-training heads, and a config.json without model_type."""
    shape = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 16}
    model = BertForPreTraining(BertConfig(**shape, vocab_size=40, max_position_embeddings=20, hidden_act="relu"))
    model.save_pretrained(tmp_path)
    edit_config(tmp_path, model_type=None, architectures=None, cell={})
    return tmp_path


@pytest.fixture
def bert():
    return BertForSequenceClassification(BertConfig(**SHAPE, num_hidden_layers=4, max_position_embeddings=20))


def edit_config(folder, **changes):
    values = json.loads((folder / "config.json").read_text()) | changes
    values = {name: value for name, value in values.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(values))


def test_tinybert4_has_the_papers_size(bert):
    bert.config.update({"vocab_size": 30_522, "max_position_embeddings": 512})
    student = random_student(bert, Sizes(4, 312, 12, 1200), ("negative", "positive"))
    embedding = (30_522 + 512 + 2 + 2) * 312
    layer = 4 * (312 * 312 + 312) + (312 * 1200 + 1200) + (1200 * 312 + 312) + 4 * 312
    head = 312 * 312 + 312 + 312 * 2 + 2
    assert student.num_parameters() == embedding + 4 * layer + head == 14_350_874


def test_a_random_student_is_of_the_teachers_family(teacher):
    student = random_student(teacher, SMALLER, NAMES)
    assert type(student) is type(teacher) and Sizes.of(student.config) == SMALLER and student.training
    assert student.config.id2label == {0: "bad", 1: "fine", 2: "good"}
    assert Sizes.of(teacher.config).num_hidden_layers == 4


def test_chosen_layers_of_the_teacher_are_copied(teacher):
    student = student_from_layers(teacher, Sizes(2, 24, 3, 32), NAMES, [2, 4])
    own, copied = teacher.base_model.state_dict(), student.base_model.state_dict()
    for name, value in copied.items():
        source = name.replace("layer.1.", "layer.3.").replace("layer.0.", "layer.1.")
        assert torch.equal(value, own[source]), name
    assert len(copied) == len([name for name in own if "layer.0." not in name and "layer.2." not in name])
    next(student.parameters()).data.zero_()
    assert next(teacher.parameters()).abs().sum() > 0


def test_layers_of_another_shape_are_not_copied(teacher):
    message = "the teacher has 4 layers, hidden 24, heads 3, intermediate 32; the student 2 layers, hidden 12"
    with pytest.raises(UserError, match=message):
        student_from_layers(teacher, SMALLER, NAMES, [2, 4])


def test_a_general_checkpoint_without_model_type_is_a_start(general, bert):
    student = student_from_checkpoint(str(general), bert, SMALLER, NAMES)
    saved, found = load_file(general / "model.safetensors"), student.state_dict()
    shared = [name for name in found if name.startswith("bert.")]
    assert len(shared) > 30 and all(torch.equal(found[name], saved[name]) for name in shared)
    assert student.config.hidden_act == "relu" and student.config.num_labels == 3 and student.training
    student.save_pretrained(general / "saved")
    assert BertForSequenceClassification.from_pretrained(general / "saved").config.model_type == "bert"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 41}, "a vocabulary of 41 tokens, but the teacher one of 40"),
        ({"model_type": "roberta"}, "is a roberta model, but the teacher a bert model"),
        ({"num_hidden_layers": 6}, "has 6 layers, hidden 12, .* but the student is to have 2 layers, hidden 12"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(general, bert, changes, message):
    edit_config(general, **changes)
    with pytest.raises(UserError, match=message):
        student_from_checkpoint(str(general), bert, SMALLER, NAMES)


def test_a_checkpoint_that_cannot_be_read_is_told(general, bert, tmp_path):
    with pytest.raises(UserError, match="no student can start from 'no/model'"):
        student_from_checkpoint("no/model", bert, SMALLER, NAMES)
    weights = load_file(general / "model.safetensors")
    save_file({name: w for name, w in weights.items() if "layer.1" not in name}, general / "model.safetensors")
    with pytest.raises(UserError, match="its weights lack bert.encoder.layer.1"):
        student_from_checkpoint(str(general), bert, SMALLER, NAMES)
    (general / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match="no student can start from"):
        student_from_checkpoint(str(general), bert, SMALLER, NAMES)
    (general / "model.safetensors").unlink()
    with pytest.raises(UserError, match="Give a folder with config.json and model.safetensors"):
        student_from_checkpoint(str(general), bert, SMALLER, NAMES)


def test_the_map_is_evenly_spaced_and_ends_at_the_last_layer():
    assert checked_layers("layer_map", None, 4, 12) == [3, 6, 9, 12]
    assert all(evenly_spaced(n, of)[-1] == of for of in range(1, 13) for n in range(1, of + 1))
    assert all(len(set(evenly_spaced(n, of))) == n for of in range(1, 13) for n in range(1, of + 1))


@pytest.mark.parametrize(
    ("chosen", "layers", "message"),
    [
        (None, 7, "the student has 7 layers, but the teacher only 6"),
        ([3, 6], 3, r"model.layer_map has 2 entries \(\[3, 6\]\), but the student has 3 layers"),
        ([3, 7], 2, r"layer_map is \[3, 7\]; it must rise, within the teacher's layers 1 to 6, for instance \[3, 6\]"),
        ([0, 6], 2, "it must rise, within the teacher's layers 1 to 6"),
        ([6, 3], 2, "it must rise"),
        ([3, 3], 2, "it must rise"),
    ],
)
def test_a_wrong_map_is_refused(chosen, layers, message):
    with pytest.raises(UserError, match=message):
        checked_layers("layer_map", chosen, layers, 6)


def test_sizes_that_no_encoder_has_are_refused(bert):
    with pytest.raises(UserError, match=r"model.hidden is 13, which is no multiple of model.heads \(3\)"):
        random_student(bert, Sizes(2, 13, 3, 16), NAMES)


def test_teachers_that_it_cannot_learn_from_are_refused(bert):
    check_teacher(bert, heads=3)
    with pytest.raises(UserError, match="the student has 12 attention heads, but the teacher 3"):
        check_teacher(bert, heads=12)
    other = DistilBertForSequenceClassification(DistilBertConfig(vocab_size=9, dim=8, n_layers=1, n_heads=2))
    with pytest.raises(UserError, match="the teacher is a distilbert model; TinyBERT learns from these: bert, roberta"):
        check_teacher(other, heads=2)

"""A student cut from its teacher: nothing is lost where nothing is cut, and what is cut are the weakest parts."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from tangodistill.models.compress import compress, low_rank, strongest_coordinates
from tangodistill.models.tinybert import Sizes, check_narrower, random_student
from tangodistill.user_error import UserError

NAMES = ("bad", "good")


@pytest.fixture(params=[(BertForSequenceClassification, BertConfig), (RobertaForSequenceClassification, RobertaConfig)])
def teacher(request):
    model, config = request.param
    shape = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "num_hidden_layers": 3}
    built = model(config(**shape, vocab_size=60, max_position_embeddings=20, initializer_range=0.3)).eval()
    for name, parameter in built.named_parameters():  # biases and layer norms begin as zeros and ones
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=float("LayerNorm.weight" in name), std=0.2)
    return built


@pytest.fixture
def inputs():
    ids = torch.randint(5, 60, (4, 9))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def hidden(encoder, inputs):
    with torch.inference_mode():
        return encoder.eval()(**inputs, output_hidden_states=True).hidden_states


def test_a_student_as_wide_as_its_teacher_computes_the_same(teacher, inputs):
    student = random_student(teacher, Sizes(3, 24, 3, 40), NAMES)
    kept = compress(teacher.base_model, student.base_model, [1, 2, 3])
    assert kept.tolist() == list(range(24))
    for own, wanted in zip(hidden(student.base_model, inputs), hidden(teacher.base_model, inputs), strict=True):
        torch.testing.assert_close(own, wanted, atol=1e-4, rtol=1e-4)


def test_coordinates_that_are_always_zero_are_the_first_to_go(teacher):
    encoder = teacher.base_model
    dead = torch.arange(0, 24, 4)
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight[dead], module.bias[dead] = 0.0, 0.0
    layers = list(encoder.encoder.layer)
    assert set(strongest_coordinates(layers, 18).tolist()).isdisjoint(dead.tolist())


def test_a_narrower_student_is_nearer_to_its_teacher_than_a_random_one(teacher, inputs):
    sizes = Sizes(3, 18, 3, 32)
    random, cut = random_student(teacher, sizes, NAMES), random_student(teacher, sizes, NAMES)
    kept = compress(teacher.base_model, cut.base_model, [1, 2, 3])
    wanted = hidden(teacher.base_model, inputs)[1][..., kept]
    errors = [float((hidden(s.base_model, inputs)[1] - wanted).square().mean()) for s in (cut, random)]
    assert errors[0] < 0.7 * errors[1]


def test_low_rank_is_the_best_of_its_rank():
    product = torch.randn(8, 6)
    left, right = low_rank(product, 4)
    missed = torch.linalg.svdvals(product)[4:].square().sum()
    assert float((product - left @ right).square().sum()) == pytest.approx(float(missed), rel=1e-4)


def test_a_wider_student_is_refused(teacher):
    with pytest.raises(UserError, match="start 'compressed' cuts the teacher down, but the student is wider"):
        check_narrower(teacher, Sizes(2, 36, 3, 40))

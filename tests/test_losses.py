"""Distillation losses against plain loops and known identities."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tangodistill.losses import (
    attention_mse,
    hard_cross_entropy,
    hidden_mse,
    kl_divergence,
    logit_mse,
    soft_cross_entropy,
)

BATCH, CLASSES = 5, 3


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, BATCH, CLASSES, generator=generator, dtype=torch.float64)
    return student, teacher


def softmax(row: list[float]) -> list[float]:
    return [math.exp(value) / sum(map(math.exp, row)) for value in row]


def test_logit_mse_is_the_mean_over_batch_and_classes(pair):
    student, teacher = pair
    squares = [(student[b, c] - teacher[b, c]).item() ** 2 for b in range(BATCH) for c in range(CLASSES)]
    assert logit_mse(student, teacher).item() == pytest.approx(sum(squares) / (BATCH * CLASSES))


@given(temperature=st.floats(0.2, 20))
def test_soft_cross_entropy_equals_a_plain_loop(temperature):
    student, teacher = torch.randn(2, BATCH, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = 0.0
    for s, t in zip((student / temperature).tolist(), (teacher / temperature).tolist(), strict=True):
        total -= sum(p * math.log(q) for p, q in zip(softmax(t), softmax(s), strict=True))
    expected = temperature**2 * total / BATCH
    assert soft_cross_entropy(student, teacher, temperature).item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_cross_entropy_is_kl_plus_entropy(pair, temperature):
    student, teacher = (logits / temperature for logits in pair)
    kl = F.kl_div(student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="batchmean")
    entropy = -(teacher.softmax(1) * teacher.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(soft_cross_entropy(*pair, temperature), temperature**2 * (kl + entropy))


def test_soft_cross_entropy_keeps_its_gradient_as_the_temperature_grows(pair):
    def gradient_size(temperature: float) -> float:
        student = pair[0].clone().requires_grad_()
        soft_cross_entropy(student, pair[1], temperature).backward()
        return student.grad.norm().item()

    assert gradient_size(1000) == pytest.approx(gradient_size(100), rel=0.02)
    assert gradient_size(1000) > 0.1 * gradient_size(1)


def test_soft_cross_entropy_is_least_at_the_teacher(pair):
    student, teacher = pair
    at_teacher = teacher.clone().requires_grad_()
    soft_cross_entropy(at_teacher, teacher, 2.0).backward()
    assert at_teacher.grad.abs().max() < 1e-12
    assert soft_cross_entropy(teacher, teacher, 2.0) < soft_cross_entropy(student, teacher, 2.0)


def test_kl_divergence_is_sum_p_log_p_over_q(pair):
    student, teacher = pair
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        total += sum(p * math.log(p / q) for p, q in zip(softmax(t), softmax(s), strict=True))
    assert kl_divergence(student, teacher).item() == pytest.approx(total / BATCH)
    torch.testing.assert_close(kl_divergence(student.view(5, 1, 3), teacher.view(5, 1, 3)), kl_divergence(*pair))
    assert kl_divergence(teacher, teacher).item() == 0


def test_hard_cross_entropy_takes_the_teachers_answer_for_the_label(pair):
    student, teacher = pair
    rows = zip(student.tolist(), teacher.argmax(1).tolist(), strict=True)
    expected = -sum(math.log(softmax(row)[answer]) for row, answer in rows) / BATCH
    assert hard_cross_entropy(student, teacher).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [logit_mse, soft_cross_entropy, hard_cross_entropy])
def test_stored_half_precision_teachers_serve_as_they_are(loss, pair):
    student, teacher = pair[0].float(), pair[1].half()
    value = loss(student, teacher)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(student, teacher.float()))


@pytest.mark.parametrize("loss", [logit_mse, soft_cross_entropy, hard_cross_entropy])
def test_another_class_count_is_refused(loss, pair):
    with pytest.raises(ValueError, match=r"\(5, 3\).*\(5, 1\)"):
        loss(pair[0], pair[1][:, :1])


@pytest.mark.parametrize("loss", [logit_mse, soft_cross_entropy, hard_cross_entropy])
def test_rows_count_by_their_weights(loss, pair):
    rows = [loss(student[None], teacher[None]) for student, teacher in zip(*pair, strict=True)]
    weights = torch.arange(1.0, len(rows) + 1)
    torch.testing.assert_close(loss(*pair, weights=weights), (weights * torch.stack(rows)).mean())


@pytest.mark.parametrize("temperature", [0, -1])
def test_temperature_must_be_positive(pair, temperature):
    with pytest.raises(ValueError, match="above 0"):
        soft_cross_entropy(*pair, temperature)


LENGTHS = (6, 3, 1)


def token_tensors(shape_of) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A student's and a teacher's values with noise on the padding of texts of ``LENGTHS``, and the mask."""
    generator = torch.Generator().manual_seed(2)
    student, teacher = torch.randn(2, *shape_of(len(LENGTHS), max(LENGTHS)), generator=generator)
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    return student, teacher, mask


def hidden_states():
    return token_tensors(lambda batch, length: (batch, length, 4))


def attention_scores():
    return token_tensors(lambda batch, length: (batch, 2, length, length))


def test_hidden_mse_is_the_mean_over_texts_of_the_mean_over_their_tokens():
    student, teacher, mask = hidden_states()
    own = [text[:n].mean().item() for text, n in zip((student - teacher) ** 2, LENGTHS, strict=True)]
    assert hidden_mse(student, teacher, mask).item() == pytest.approx(sum(own) / len(own))


def test_attention_mse_is_the_mean_over_texts_of_the_mean_over_their_pairs_of_tokens():
    student, teacher, mask = attention_scores()
    own = [
        ((s[:, :n, :n] - t[:, :n, :n]) ** 2).mean().item() for s, t, n in zip(student, teacher, LENGTHS, strict=True)
    ]
    assert attention_mse(student, teacher, mask).item() == pytest.approx(sum(own) / len(own))


@pytest.mark.parametrize(("loss", "values"), [(hidden_mse, hidden_states), (attention_mse, attention_scores)])
def test_padding_gets_no_gradient_and_has_no_effect(loss, values):
    student, teacher, mask = values()
    tokens = mask.bool()[:, :, None] if loss is hidden_mse else (mask[:, None, :, None] * mask[:, None, None, :]).bool()
    student.requires_grad_()
    before = loss(student, teacher, mask)
    before.backward()
    assert student.grad.masked_select(~tokens).abs().max() == 0 < student.grad.abs().max()
    torch.testing.assert_close(loss(student.where(tokens, 99), teacher.where(tokens, -99), mask), before)


@pytest.mark.parametrize("loss", [hidden_mse, attention_mse])
def test_another_width_is_refused(loss):
    student, teacher, mask = hidden_states() if loss is hidden_mse else attention_scores()
    with pytest.raises(ValueError, match="but the teacher's"):
        loss(student, teacher[:, :1], mask)

"""Distillation losses on logits, hidden states and attention scores, each with its equation and source.

z^S and z^T are a student's and a teacher's logits, both (batch, classes); a teacher's may be stored as float16.
Losses on tokens take a mask, 1 on tokens: padding is no part of any mean, and all texts count alike.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def logit_mse(student: torch.Tensor, teacher: torch.Tensor, weights: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Mean squared error of the logits: L = 1/(B·C) · Σ_b Σ_c (z^T_bc − z^S_bc)².

    Ba and Caruana 2014, "Do Deep Nets Really Need to be Deep?"; Tang et al. 2019, "Distilling Task-Specific Knowledge
    from BERT into Simple Neural Networks", §3.2, write ‖z^T − z^S‖², the sum over classes. This is the mean over
    classes and batch, as public implementations have it: C times smaller, which matters for the learning rate and
    beside other losses.

    Args:
        student: (batch, classes) logits.
        teacher: (batch, classes) logits.
        weights: (batch,) what each row's loss is multiplied by.

    Returns:
        Scalar.

    >>> logit_mse(torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]]))
    tensor(2.)
    """
    return (weights * F.mse_loss(student, _as(teacher, student), reduction="none").mean(1)).mean()


def soft_cross_entropy(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0, weights: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """Cross-entropy to the softened teacher: L = −T²/B · Σ_b Σ_c softmax(z^T_b/T)_c · log softmax(z^S_b/T)_c.

    Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", §2: gradients scale as 1/T², so the
    factor T² (applied here) keeps their size as the temperature changes. Sum over classes, mean over the batch.
    It equals T² (KL(teacher ‖ student) + H(teacher)); the gradient to the student is that of the KL divergence.

    Args:
        student: (batch, classes) logits.
        teacher: (batch, classes) logits.
        temperature: T > 0; above 1 it softens both distributions.
        weights: (batch,) what each row's loss is multiplied by.

    Returns:
        Scalar.

    Raises:
        ValueError: the temperature is not positive.

    >>> soft_cross_entropy(torch.zeros(1, 2), torch.zeros(1, 2))
    tensor(0.6931)
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    probabilities = F.softmax(_as(teacher, student) / temperature, dim=1)
    return temperature**2 * (weights * F.cross_entropy(student / temperature, probabilities, reduction="none")).mean()


def soft_span_cross_entropy(
    student: torch.Tensor, teacher: torch.Tensor, attention_mask: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """Mean of the soft cross-entropies of an answer's first and last token: L = ½ (CE(first) + CE(last)).

    Guskin et al. 2021, "Dynamic-TinyBERT: Boost TinyBERT's Inference Efficiency by Dynamic Sequence Length", §3. The
    classes are a window's tokens; padding has no part in either distribution.

    Args:
        student, teacher: (2, batch, length) logits of each token to be the first, and the last.
        attention_mask: (batch, length), 1 on tokens.

    Returns:
        Scalar.

    >>> soft_span_cross_entropy(torch.zeros(2, 1, 3), torch.zeros(2, 1, 3), torch.tensor([[1, 1, 0]]))
    tensor(0.6931)
    """
    # finite, since 0 · -inf is no number
    masked = [logits.float().masked_fill(attention_mask == 0, -1e4) for logits in (student, teacher)]
    first, last = (soft_cross_entropy(s, t, temperature) for s, t in zip(*masked, strict=True))
    return (first + last) / 2


def hard_cross_entropy(
    student: torch.Tensor, teacher: torch.Tensor, weights: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """Cross-entropy to the teacher's answer: L = −1/B · Σ_b log softmax(z^S_b)_{argmax z^T_b}.

    The second term of Tang et al. 2019, §3.2, on unlabelled text, where the teacher's prediction stands for the label.

    Args:
        student: (batch, classes) logits.
        teacher: (batch, classes) logits.
        weights: (batch,) what each row's loss is multiplied by.

    Returns:
        Scalar.

    >>> hard_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.1, 2.0]]))
    tensor(0.6931)
    """
    return (weights * F.cross_entropy(student, _as(teacher, student).argmax(dim=1), reduction="none")).mean()


def kl_divergence(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher: L = KL(p^T ‖ p^S), 1/B · Σ_b Σ_c p^T_bc (log p^T_bc − log p^S_bc).

    What a sub-network learns from the full one in in-place distillation (Yu and Huang 2019, "Universally Slimmable
    Networks and Improved Training Techniques", §3.3).

    Args:
        student: (…, classes) logits.
        teacher: (…, classes) logits.

    Returns:
        Scalar, the mean over all but the last dimension.

    >>> kl_divergence(torch.zeros(1, 2), torch.tensor([[0.0, 1000.0]]))
    tensor(0.6931)
    """
    logs = F.log_softmax(_as(teacher, student), dim=-1)
    return F.kl_div(F.log_softmax(student, dim=-1), logs, reduction="none", log_target=True).sum(-1).mean()


def hidden_mse(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared error of hidden states: L = 1/B · Σ_b 1/(N_b·D) · Σ_{t ≤ N_b} Σ_d (h^T_btd − h^S_btd)².

    Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding", eq. 8 and 9, where the student's
    states have gone through a learned linear map to the teacher's width D. A text's loss is the mean over its N_b
    tokens: public code takes it over padding too, so that there it depends on the batch.

    Args:
        student: (batch, length, width) mapped hidden states.
        teacher: (batch, length, width) hidden states.
        mask: (batch, length), 1 on tokens, at least one in each text.

    Returns:
        Scalar, float32.

    >>> hidden_mse(torch.zeros(1, 2, 3), torch.tensor([[[2.0, 2, 2], [9, 9, 9]]]), torch.tensor([[1, 0]]))
    tensor(4.)
    """
    student = student.float()
    squares = F.mse_loss(student, _as(teacher, student), reduction="none").mean(2)
    weights = mask / mask.sum(1, keepdim=True)
    return (squares * weights).sum() / len(mask)


def attention_mse(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared error of attention scores: L = 1/B · Σ_b 1/(H·N_b²) · Σ_h Σ_{q,k ≤ N_b} (A^T_bhqk − A^S_bhqk)².

    Jiao et al. 2020, eq. 7, on the scores A = QKᵀ/√d_h before the softmax, over the pairs of a text's N_b tokens.

    Args:
        student: (batch, heads, length, length) scores.
        teacher: (batch, heads, length, length) scores.
        mask: (batch, length), 1 on tokens, at least one in each text.

    Returns:
        Scalar, float32.

    >>> attention_mse(torch.zeros(1, 1, 2, 2), torch.tensor([[[[2.0, 9], [9, 9]]]]), torch.tensor([[1, 0]]))
    tensor(4.)
    """
    student = student.float()
    squares = F.mse_loss(student, _as(teacher, student), reduction="none").mean(1)
    weights = mask / mask.sum(1, keepdim=True)
    return (squares * weights[:, :, None] * weights[:, None, :]).sum() / len(mask)


def _as(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """The teacher's values in the student's precision; broadcasting would hide a wrong class count or width."""
    if teacher.shape != student.shape:
        raise ValueError(f"the student's values are {tuple(student.shape)} but the teacher's {tuple(teacher.shape)}")
    return teacher.to(student.dtype)

"""A narrower student out of the teacher's own weights: a start for TinyBERT where no general-distilled one is at hand.

The student keeps some coordinates of the teacher's hidden state, the same in all layers, so that layer norms carry
over. Each head's product of query and key, and of value and output, is cut to the student's head width by its largest
singular values, which loses the least of the product (Eckart & Young 1936); of the feed-forward neurons the strongest
stay.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


@torch.no_grad()
def compress(teacher: PreTrainedModel, student: PreTrainedModel, layers: Sequence[int]) -> Tensor:
    """Fill the student's encoder with what the teacher's layers ``layers`` (from 1) compute, as far as it fits.

    Args:
        teacher: a BERT or RoBERTa encoder (``model.base_model``).
        student: one of the same family with as many heads, nowhere wider.

    Returns:
        The kept coordinates of the teacher's hidden state, ``(student width,)``, ascending.
    """
    chosen = [teacher.encoder.layer[layer - 1] for layer in layers]
    kept = strongest_coordinates(chosen, student.config.hidden_size)
    for name, table in student.embeddings.named_children():
        if isinstance(table, nn.Embedding):
            table.weight.copy_(getattr(teacher.embeddings, name).weight[:, kept])
    _keep_norm(student.embeddings.LayerNorm, teacher.embeddings.LayerNorm, kept)
    for own, source in zip(student.encoder.layer, chosen, strict=True):
        _compress_attention(own.attention, source.attention, kept, student.config.num_attention_heads)
        _compress_feed_forward(own, source, kept)
    if getattr(student, "pooler", None) and getattr(teacher, "pooler", None):
        student.pooler.dense.weight.copy_(teacher.pooler.dense.weight[kept][:, kept])
        student.pooler.dense.bias.copy_(teacher.pooler.dense.bias[kept])
    return kept


def strongest_coordinates(layers: Sequence[nn.Module], width: int) -> Tensor:
    """The coordinates of the hidden state ``(width,)`` that are largest behind layer norms and most read by weights."""
    size: Tensor | float = 0.0
    read: Tensor | float = 0.0
    for layer in layers:
        own = layer.attention.self
        for norm in (layer.attention.output.LayerNorm, layer.output.LayerNorm):
            size = size + norm.weight.square() + norm.bias.square()
        for weight in (m.weight for m in (own.query, own.key, own.value, layer.intermediate.dense)):
            read = read + weight.square().sum(0) / weight.square().sum()
    return (size * read).topk(width).indices.sort().values


def low_rank(product: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors (rows, rank) and (rank, columns) whose product is nearest to a matrix (rows, columns).

    >>> left, right = low_rank(torch.diag(torch.tensor([4.0, 1.0])), rank=1)
    >>> (left @ right).abs().round(decimals=4).tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    left, values, right = torch.linalg.svd(product, full_matrices=False)
    root = values[:rank].sqrt()
    return left[:, :rank] * root, root[:, None] * right[:rank]


def _compress_attention(own: nn.Module, source: nn.Module, kept: Tensor, heads: int) -> None:
    query, key, value = (_heads(m, kept, heads) for m in (source.self.query, source.self.key, source.self.value))
    output = source.output.dense.weight[kept].chunk(heads, dim=1)
    width, source_width = (m.self.query.out_features // heads for m in (own, source))
    for head in range(heads):
        rows = slice(head * width, (head + 1) * width)
        # scores are divided by the root of the head's width, which differs
        scores = query[head].T @ key[head] * (width / source_width) ** 0.5
        queries, keys = low_rank(scores, width)
        _fill(own.self.query, rows, queries.T)
        _fill(own.self.key, rows, keys)
        own.output.dense.weight[:, rows], values = low_rank(output[head] @ value[head], width)
        _fill(own.self.value, rows, values)
    own.output.dense.bias.copy_(source.output.dense.bias[kept])
    _keep_norm(own.output.LayerNorm, source.output.LayerNorm, kept)


def _compress_feed_forward(own: nn.Module, source: nn.Module, kept: Tensor) -> None:
    into, out_of = source.intermediate.dense, source.output.dense
    strength = into.weight.norm(dim=1) * out_of.weight.norm(dim=0)
    neurons = strength.topk(own.intermediate.dense.out_features).indices
    own.intermediate.dense.weight.copy_(into.weight[neurons][:, kept])
    own.intermediate.dense.bias.copy_(into.bias[neurons])
    own.output.dense.weight.copy_(out_of.weight[kept][:, neurons])
    own.output.dense.bias.copy_(out_of.bias[kept])
    _keep_norm(own.output.LayerNorm, source.output.LayerNorm, kept)


def _heads(linear: nn.Linear, kept: Tensor, heads: int) -> tuple[Tensor, ...]:
    """Each head's rows (head width, kept + 1), the bias as the last column: it reads a constant 1."""
    return torch.cat([linear.weight[:, kept], linear.bias[:, None]], 1).chunk(heads)


def _fill(linear: nn.Linear, rows: slice, weight_and_bias: Tensor) -> None:
    linear.weight[rows] = weight_and_bias[:, :-1]
    linear.bias[rows] = weight_and_bias[:, -1]


def _keep_norm(own: nn.LayerNorm, source: nn.LayerNorm, kept: Tensor) -> None:
    own.weight.copy_(source.weight[kept])
    own.bias.copy_(source.bias[kept])

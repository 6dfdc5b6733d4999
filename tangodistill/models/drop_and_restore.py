"""Drop-and-restore on tensors: which tokens go on, and where each token's latest state lies in the end."""

import torch


def significance(probabilities: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """s_j = Σ_heads Σ_queries A[head, query, j] over real queries: (batch, length), as much as they look at each token.

    Kim and Cho 2021, §3.1 (from Goyal et al. 2020, "PoWER-BERT"), whose code counts the queries of padding too.

    Args:
        probabilities: (batch, heads, key, query).
        real: (batch, length) bool, True on tokens.

    >>> significance(torch.tensor([[[[0.75, 0.5], [0.25, 0.5]]]]), torch.tensor([[True, False]]))
    tensor([[0.7500, 0.2500]])
    """
    return (probabilities.sum(1) * real[:, None, :]).sum(2)


def most_significant(scores: torch.Tensor, real: torch.Tensor, size: int, keep_first: bool) -> torch.Tensor:
    """Indices (batch, size) of the tokens with the highest scores (batch, length), padding last, ties by position.

    >>> most_significant(torch.tensor([[0.1, 0.3, 0.9, 0.3]]), torch.ones(1, 4, dtype=torch.bool), 3, True)
    tensor([[0, 2, 1]])
    """
    scores = scores.masked_fill(~real, -1.0)
    if keep_first:
        scores = torch.cat([torch.full_like(scores[:, :1], torch.inf), scores[:, 1:]], dim=1)
    places = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    # ranks by counting: a stable sort can't be exported, and engines settle ties in their own ways
    own, other = scores[:, :, None], scores[:, None, :]
    ahead = (other > own) | ((other == own) & (places[:, None, :] < places[:, :, None]))
    return torch.zeros_like(places).scatter(1, ahead.sum(2), places)[:, :size]


def rows_at(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """States (batch, kept, hidden) at the given indices (batch, kept) of others (batch, length, hidden)."""
    return states.gather(1, places[:, :, None].expand(-1, -1, states.shape[2]))


def restore(latest: torch.Tensor, places: torch.Tensor, hidden: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Each token's latest state: `hidden` (batch, kept, hidden) put at its `places` (batch, kept) where it is `real`.

    >>> latest, hidden = torch.zeros(1, 3, 1), torch.tensor([[[5.0], [7.0]]])
    >>> restore(latest, torch.tensor([[2, 0]]), hidden, torch.tensor([[True, False]])).flatten()
    tensor([0., 0., 5.])
    """
    hidden = torch.where(real[:, :, None], hidden, rows_at(latest, places))
    return latest.scatter(1, places[:, :, None].expand_as(hidden), hidden)

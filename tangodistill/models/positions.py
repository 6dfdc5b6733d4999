"""How long a text a model has positions for."""

from transformers import PreTrainedModel


def position_limit(model: PreTrainedModel) -> int | None:
    """Tokens that a model has positions for, None where it needs none.

    RoBERTa's family numbers them from the padding id + 1, so has fewer.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is None or limit < 0:  # relative positions; XLNet says -1
        return None
    embeddings = getattr(model.base_model.base_model, "embeddings", None)  # DeeBERT's base is a classifier itself
    padding_idx = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    return limit if padding_idx is None else limit - padding_idx - 1

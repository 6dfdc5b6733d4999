"""A model and its tokenizer: whether they belong together, and what one knows that the other must."""

import inspect

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tangodistill.user_error import UserError


def pair_up(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Checks the vocabulary, and settles the padding token and the token types in place.

    Savers leave the padding token in one place only: what the tokenizer pads with is written into the config, or, where
    that names another, the other way round: a model like RoBERTa or GPT-2 finds the end of a text by it. Token types
    are kept only where the model reads more than one.

    Raises:
        UserError: the tokenizer has ids for which the model has no embedding.
    """
    source, rows = model.name_or_path, _embeddings(model)
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise UserError(
            f"{source}: its tokenizer knows no word. Put the tokenizer's files (tokenizer.json, "
            "tokenizer_config.json) beside the model's."
        )
    token, highest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if rows is not None and highest >= rows:
        raise UserError(
            f"{source}: its tokenizer gives ids up to {highest} ({token!r}), but the model has embeddings for {rows} "
            "tokens, 0 to {last}. Both must be of one model; where a token was added to the tokenizer alone, set an "
            "old one in its place (pad_token in tokenizer_config.json), or save the model after "
            "resize_token_embeddings.".replace("{last}", str(rows - 1))
        )
    _agree_on_padding(model, tokenizer, rows)
    if "token_type_ids" in tokenizer.model_input_names and not _reads_types(model):
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]


def _agree_on_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, rows: int | None) -> None:
    own = getattr(model.config, "pad_token_id", None)  # a model around another, such as DeeBERT, has none
    known = isinstance(own, int) and 0 <= own < (rows or len(tokenizer))
    token = tokenizer.convert_ids_to_tokens(own) if known else None
    if token is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    elif own != tokenizer.pad_token_id:
        tokenizer.pad_token = token


def _embeddings(model: PreTrainedModel) -> int | None:
    """Rows of the embedding of tokens, None where the model has none of its own kind."""
    try:
        return model.get_input_embeddings().num_embeddings
    except (AttributeError, NotImplementedError):
        return None


def _reads_types(model: PreTrainedModel) -> bool:
    return (
        "token_type_ids" in inspect.signature(model.forward).parameters
        and getattr(model.config, "type_vocab_size", 2) != 1
    )

"""One trial before a model is trained or served: whether its answer to a text is the same in every batch."""

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.models.inputs import tensors
from tangodistill.user_error import UserError

TOLERANCE = 1e-4  # of an answer's size; float32 rounds by a hundredth of that, a padding token read by far more
SENTENCE = "It was a long day, and the town was quiet by the sea. "
TEXTS = ("", "a day", SENTENCE)
LONGEST, UNLIMITED = 4096, 1024  # tokens that are tried of a model with a limit of so many, and of one without
SIDES = ("right", "left")


def try_out(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
    """Answers an empty, a short, a middling and the longest text, each alone and beside a longer one.

    The tokenizer's own side of padding is tried first, then the other, which is kept where that one alone serves: some
    tokenizers pad a model for writing, on the left, which counts positions from the padding.

    Raises:
        UserError: the model fails, gives no numbers, or answers by what stands beside a text.
    """
    length = max_length if max_length <= LONGEST else UNLIMITED
    texts, was_training = [*TEXTS, SENTENCE * (length // 8 + 1)], model.training
    model.eval()
    found = {}
    try:
        for side in _sides(model, tokenizer):
            tokenizer.padding_side = side
            found[side] = _difference(model, TokenizedTexts.from_texts(tokenizer, texts, max_length=length))
            if found[side] <= TOLERANCE:
                return
    finally:
        model.train(was_training)
    raise UserError(
        f"{model.name_or_path}: a {model.config.model_type} model gives a text another answer beside a longer one than "
        f"alone (by {min(found.values()):.2g} of its size, padded on either side), so no threshold would hold. Take an "
        "architecture that leaves its padding out, such as BERT, RoBERTa, DistilBERT or DeBERTa."
    )


@torch.no_grad()
def bears_bfloat16(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a model runs under bfloat16 autocast: some write numbers that are too large for it (DeBERTa's first)."""
    inputs = tensors(TokenizedTexts.from_texts(tokenizer, [SENTENCE, "a day"], max_length=16).batch([0, 1]))
    try:
        with torch.autocast("cpu", torch.bfloat16):
            model(**inputs)
    except RuntimeError:
        return False
    return True


def _sides(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Windows of a context are always filled on the right."""
    return ["right"] if _marks_spans(model) else sorted(SIDES, key=lambda side: side != tokenizer.padding_side)


def _marks_spans(model: PreTrainedModel) -> bool:
    return isinstance(getattr(model, "qa_outputs", None), torch.nn.Module)


def _difference(model: PreTrainedModel, tokens: TokenizedTexts) -> float:
    """The largest, between texts alone and together, as a share of the largest answer (of 1, where that is less)."""
    longest = len(tokens) - 1
    alone = [_answers(model, tokens, [row])[0] for row in range(longest)]
    beside = [_answers(model, tokens, [row, longest])[0] for row in range(longest)]
    together = _answers(model, tokens, list(range(longest)))
    scale = max(1.0, *(float(np.abs(answer).max()) for answer in alone))
    others = [*zip(alone, beside, strict=True), *zip(alone, together, strict=True)]
    return max(float(np.abs(one - other).max()) for one, other in others) / scale


@torch.no_grad()
def _answers(model: PreTrainedModel, tokens: TokenizedTexts, rows: list[int]) -> list[np.ndarray]:
    """Logits of each row: (classes,), or of a span model (2, tokens).

    Raises:
        UserError: the model fails on them, or gives something else than numbers.
    """
    batch = tokens.batch(rows)
    described = f"{len(rows)} text{'s' if len(rows) > 1 else ''} of {tokens.lengths[rows].max()} tokens at most"
    try:
        answer = model(**tensors(batch))
    except Exception as error:  # any code of any architecture
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{model.name_or_path} can't answer {described}: {reason}. Take another model.") from error
    if _marks_spans(model):
        both, real = torch.stack([answer.start_logits, answer.end_logits], 1).float().numpy(), batch["attention_mask"]
        answers = [both[row][:, real[row] == 1] for row in range(len(rows))]
    else:
        answers = list(answer.logits.float().numpy())
    if not all(np.isfinite(each).all() for each in answers):
        raise UserError(f"{model.name_or_path} answers {described} with NaN or infinity. Take another model.")
    return answers

"""What looks like a special token in a text is text, one text at a time and in bulk, singly and in pairs."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tangodistill.data.tokenize import TextEncoder, TokenizedTexts
from tangodistill.data.windows import WindowEncoder

WORDS = ["<pad>", "<unk>", "<s>", "</s>", "<mask>", "a", "day", "▁a", "▁day", "▁", "<", "/", "s", ">"]
IDS = {word: i for i, word in enumerate(WORDS)}
SPECIAL = [IDS[word] for word in ("<pad>", "<s>", "</s>", "<mask>")]


def tokenizer(kind: str, frame: str = "<s> $A </s>") -> PreTrainedTokenizerFast:
    """`words` and `pieces` have the special tokens among what a text may hold, `split` cuts them at their marks."""
    if kind == "pieces":
        model = models.Unigram([(word, 0.0 if i < 5 else -2.0) for i, word in enumerate(WORDS)], unk_id=1)
        backend = Tokenizer(model)
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        backend = Tokenizer(models.WordLevel(IDS, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace() if kind == "split" else pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single=frame, pair=f"{frame} $B </s>", special_tokens=[(token, IDS[token]) for token in ("<s>", "</s>")]
    )
    names = {
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@pytest.mark.parametrize("kind", ["words", "pieces", "split"])
@pytest.mark.parametrize("text", ["a </s> day", "</s>", "<s> <pad> <mask>", "a day", ""])
def test_a_text_gets_no_special_token_but_those_around_it(kind, text):
    encoder = TextEncoder.of(tokenizer(kind), 32)
    alone, bulk = encoder.encode_one(text)["input_ids"][0], encoder.encode([text]).ids
    assert alone.tolist() == bulk.tolist() and alone[0] == IDS["<s>"] and alone[-1] == IDS["</s>"]
    assert not np.isin(alone[1:-1], SPECIAL).any()
    pair = encoder.encode_one(text, "day")["input_ids"][0]
    assert pair.tolist() == encoder.encode([text], ["day"]).ids.tolist()
    assert np.isin(pair, SPECIAL).sum() == 3


@pytest.mark.parametrize("kind", ["words", "pieces", "split"])
def test_a_context_gets_none_either(kind):
    windows = WindowEncoder.of(tokenizer(kind), 32, stride=4, question_length=8).encode(
        ["a </s>"], ["day </s> a <pad>"]
    )
    assert np.isin(windows.tokens.ids, SPECIAL).sum() == 3


def test_a_mask_of_a_transfer_set_is_meant():
    made = tokenizer("split")
    texts = TokenizedTexts.from_texts(made, ["a <mask> </s> day"], max_length=32, meant=["<mask>"])
    assert (texts.ids == IDS["<mask>"]).sum() == 1 and (texts.ids == IDS["</s>"]).sum() == 1


@pytest.mark.parametrize("side", ["right", "left"])
def test_every_text_has_a_token_and_padding_lies_on_the_tokenizers_side(side):
    made = tokenizer("words", frame="$A")
    made.padding_side = side
    encoder = TextEncoder.of(made, 32)
    assert encoder.encode_one("")["input_ids"].tolist() == [[IDS["<pad>"]]]
    inputs = encoder.encode(["", "a day a"]).batch([0, 1])
    padded = [[1, 0, 0], [1, 1, 1]] if side == "right" else [[0, 0, 1], [1, 1, 1]]
    assert inputs["attention_mask"].tolist() == padded
    assert inputs["input_ids"].tolist()[1] == [IDS["a"], IDS["day"], IDS["a"]]

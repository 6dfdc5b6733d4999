"""Tokenizers of both families for questions and contexts: tiny ones, and real vocabularies where they are at hand."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SHARED = Path(__file__).parents[2].parent / "shared/data"
SQUAD = SHARED / "squad"
WORDS = "where what is the of a in river city Nile Cairo flows through 42 , . ? ##s ##ing é".lower().split()


def bert(vocabulary: list[str] | None = None) -> PreTrainedTokenizerFast:
    """WordPiece in lower case, with token types."""
    vocabulary = vocabulary or ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    ids = {word: index for index, word in enumerate(vocabulary)}
    backend = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def roberta(vocabulary: dict[str, int] | None = None, merges: list[tuple[str, str]] | None = None):
    """Byte-level BPE, in the tiny case of single bytes; two separators in a pair, no token types."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = vocabulary or {word: index for index, word in enumerate([*specials, *alphabet])}
    backend = Tokenizer(models.BPE(vocabulary, merges or []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", vocabulary["</s>"]), ("<s>", vocabulary["<s>"]), trim_offsets=True, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def real_bert() -> PreTrainedTokenizerFast:
    return bert((SHARED / "vocab/bert-base-uncased-vocab.txt").read_text(encoding="utf-8").splitlines())


def real_roberta() -> PreTrainedTokenizerFast:
    vocabulary, merges = models.BPE.read_file(
        str(SHARED / "vocab/roberta-base-vocab.json"), str(SHARED / "vocab/gpt2-merges.txt")
    )
    return roberta(vocabulary, merges)

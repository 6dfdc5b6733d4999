"""Small inputs that tiny random models learn in seconds: a table whose classes go by one word, an encoder, vectors."""

import csv
import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

CLUES = {
    "negative": ["bad", "awful", "poor", "dull"],
    "positive": ["good", "great", "fine", "lovely"],
    "neutral": ["plain", "usual", "average", "common"],
}
FILLER = "the a film movie plot cast story scene was is and with very quite truly".split()


def write_table(path: Path, rows: int = 600, classes: int = 2, pairs: bool = False) -> Path:
    """A CSV of `text` (and `text_pair`), `label`: one clue word in each row, a number that makes it unique."""
    rng, names = random.Random(0), list(CLUES)[:classes]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "text_pair", "label"] if pairs else ["text", "label"])
        for i in range(rows):
            name = names[i % classes]
            words = [*rng.choices(FILLER, k=rng.randint(4, 10)), rng.choice(CLUES[name])]
            rng.shuffle(words)
            text = " ".join([*words, str(i)])
            writer.writerow([text, f"is it so {i} ?", name] if pairs else [text, name])
    return path


def write_questions(folder: Path) -> Path:
    """Both files of SQuAD's layout; the question asks for the clue, which stands somewhere in its context."""
    rng = random.Random(0)
    folder.mkdir()
    for name, articles in (("train-v1.1.json", 40), ("dev-v1.1.json", 12)):
        data = [{"title": f"{name}-{i}", "paragraphs": [_paragraph(rng, f"{name}-{i}-{j}") for j in range(8)]}
                for i in range(articles)]  # fmt: skip
        (folder / name).write_text(json.dumps({"version": "1.1", "data": data}))
    return folder


def _paragraph(rng: random.Random, key: str) -> dict:
    words = rng.choices(FILLER, k=rng.randint(6, 20))
    answer = rng.choice(sum(CLUES.values(), []))
    place = rng.randrange(len(words))
    context = " ".join([*words[:place], answer, *words[place:], str(rng.randrange(10**6))])
    start = len(" ".join(words[:place])) + (place > 0)
    answers = [{"text": answer, "answer_start": start}]
    return {"context": context, "qas": [{"id": key, "question": f"is it so {key[-1]} ?", "answers": answers}]}


def write_encoder(folder: Path, positions: int = 64) -> Path:
    """A BERT of 2 layers with random weights and no head."""
    words = [*sum(CLUES.values(), []), *FILLER, "so", "it", "?", *(f"{p}{d}" for p in ("", "##") for d in range(10))]
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=positions,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=positions, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


def write_roberta(folder: Path, tokenizer: Path) -> Path:
    """A RoBERTa of 2 layers with random weights and no head, and another encoder's tokenizer."""
    vocabulary = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    vocabulary.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    ids = {f"{name}_token_id": getattr(vocabulary, f"{name}_token_id") for name in ("pad", "cls", "sep")}
    config = RobertaConfig(
        vocab_size=len(vocabulary), max_position_embeddings=65, type_vocab_size=2,
        pad_token_id=ids["pad_token_id"], bos_token_id=ids["cls_token_id"], eos_token_id=ids["sep_token_id"], **sizes,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    return folder


def write_glove(path: Path) -> Path:
    """Random vectors, 50 wide, of every word of the tables."""
    rng = random.Random(1)
    words = [*sum(CLUES.values(), []), *FILLER]
    lines = (" ".join([word, *(f"{rng.gauss(0, 0.4):.4f}" for _ in range(50))]) for word in words)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

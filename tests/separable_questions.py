"""Questions that tiny random models learn to answer in seconds: the answer is the one word that is no filler."""

import json
import random

import torch
from separable import CLUES, FILLER, write_encoder
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WORDS = sum(CLUES.values(), [])


def write_questions(folder):
    """Both files of SQuAD's layout; the question asks for the clue, which stands somewhere in its context."""
    rng = random.Random(0)
    folder.mkdir()
    for name, articles in (("train-v1.1.json", 40), ("dev-v1.1.json", 12)):
        data = [{"title": f"{name}-{i}", "paragraphs": [paragraph(rng, f"{name}-{i}-{j}") for j in range(8)]}
                for i in range(articles)]  # fmt: skip
        (folder / name).write_text(json.dumps({"version": "1.1", "data": data}))
    return folder


def paragraph(rng, key):
    words = rng.choices(FILLER, k=rng.randint(6, 20))
    answer = rng.choice(WORDS)
    place = rng.randrange(len(words))
    context = " ".join([*words[:place], answer, *words[place:], str(rng.randrange(10**6))])
    start = len(" ".join(words[:place])) + (place > 0)
    answers = [{"text": answer, "answer_start": start}]
    return {"context": context, "qas": [{"id": key, "question": f"is it so {key[-1]} ?", "answers": answers}]}


def write_reader(folder):
    """A BERT of 2 layers with random weights and no head, with room for a question and its context."""
    write_encoder(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, model_max_length=128)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=128, **sizes)).save_pretrained(folder)
    return folder

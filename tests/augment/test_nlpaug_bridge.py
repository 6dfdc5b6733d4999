"""nlpaug's augmenters by name: repaired, seeded, with errors that say what to do."""

import random
import sys

import numpy as np
import pytest
import torch
import transformers

from tangodistill.augment import nlpaug_bridge
from tangodistill.augment.nlpaug_bridge import NlpaugConfig, check_augmenter, vary
from tangodistill.user_error import UserError

WORDS = ["the", "film", "plot", "is", "good", "bad", "warm", "a", "and", "slow"]
TEXTS = ["the film is good", "", "a slow and warm plot is bad", "good"]


@pytest.fixture
def bert_folder(tmp_path):
    folder = tmp_path / "tiny-bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    transformers.BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=15, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.BertForMaskedLM(config)
    with torch.no_grad():
        model.cls.predictions.bias[:5] = -1000.0  # a trained model proposes no special tokens
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["RandomWordAug", "KeyboardAug", "SplitAug", "RandomCharAug", "SpellingAug"])
def test_augmenters_without_models_vary_texts_by_seed_alone(name):
    texts = [f"{text} {text} a remarkable performance" if text else "" for text in TEXTS]
    first = vary(texts, NlpaugConfig(name), seed=3)
    random.random(), np.random.random(), torch.rand(1)
    assert vary(texts, NlpaugConfig(name), seed=3) == first != texts
    assert any(vary(texts, NlpaugConfig(name), seed=seed) != first for seed in range(4, 9))
    assert first[1] == "" and len(first) == 4


def test_the_callers_random_state_and_threads_stay():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    threads = torch.get_num_threads()
    vary(TEXTS, NlpaugConfig("RandomWordAug"), seed=9)
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
    assert torch.get_num_threads() == threads


def test_arguments_reach_the_augmenter():
    swapped = vary(["one two three four"], NlpaugConfig("RandomWordAug", {"action": "swap"}), seed=0)[0]
    assert sorted(swapped.lower().split()) == ["four", "one", "three", "two"]
    stop = NlpaugConfig("RandomWordAug", {"action": "delete", "stopwords": ["one", "two", "three"], "aug_p": 0.9})
    assert vary(["one two three four"], stop, seed=0) == ["one two three"]


def test_masked_language_model_fills_words_from_a_local_folder(bert_folder):
    config = NlpaugConfig("ContextualWordEmbsAug", {"model_path": str(bert_folder), "aug_p": 0.3})
    varied = vary(TEXTS * 20, config, seed=0)
    assert varied == vary(TEXTS * 20, config, seed=0) != TEXTS * 20
    assert varied[1] == ""
    for text, new in zip(TEXTS * 20, varied, strict=True):
        assert len(new.split()) == len(text.split())
        assert set(new.split()) <= set(WORDS)


def test_two_model_folders_of_one_name_are_told_apart(bert_folder, tmp_path):
    other = tmp_path / "other" / "tiny-bert"
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_folder)
    model = transformers.BertForMaskedLM.from_pretrained(bert_folder)
    with torch.no_grad():
        model.cls.predictions.bias[tokenizer.convert_tokens_to_ids("warm")] = 1000.0
    tokenizer.save_pretrained(other), model.save_pretrained(other)
    arguments = {"model_path": str(bert_folder), "aug_p": 0.3}
    vary(TEXTS, NlpaugConfig("ContextualWordEmbsAug", arguments), seed=0)
    varied = vary(
        ["the film is bad"], NlpaugConfig("ContextualWordEmbsAug", {**arguments, "model_path": str(other)}), 0
    )
    assert varied[0].split().count("warm") == 2


def test_gpt2_continues_from_the_last_token_of_each_text(tmp_path):
    folder = tmp_path / "tiny-gpt2"
    transformers.GPT2Tokenizer(
        vocab={"<|endoftext|>": 0, "pad": 1, **{word: i + 2 for i, word in enumerate("abcdefgh")}}, merges=[]
    ).save_pretrained(folder)
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=10, n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=1.0)
    )
    model.save_pretrained(folder)
    nlpaug_bridge._repair()
    from nlpaug.model.lang_models import Gpt2

    gpt2 = Gpt2(str(folder), device="cpu", top_k=1)
    texts = ["ab", "acdefg", "ae"]
    expected = []
    for text in texts:
        ids = torch.tensor([gpt2.tokenizer.encode(text)])
        expected.append([gpt2.id2token(model.eval()(ids).logits[0, -1].argmax())])
    assert gpt2.predict(texts, include_punctuation=True) == expected
    assert len(set(map(tuple, expected))) > 1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("RandomWordsAug", {}, "nlpaug.augmenter is 'RandomWordsAug', which nlpaug does not have: "
            "did you mean RandomWordAug? It has AbstSummAug, "),
        ("Zzz", {}, "nlpaug.augmenter is 'Zzz', which nlpaug does not have. It has AbstSummAug, "),
        ("RandomWordAug", {"probability": 1}, "nlpaug.arguments of RandomWordAug: "
            "got an unexpected keyword argument 'probability'. It takes action, name, aug_min, "),
        ("ReservedAug", {}, "nlpaug.arguments of ReservedAug: "
            "missing a required argument: 'reserved_tokens'. It takes "),
    ],
)  # fmt: skip
def test_unknown_names_and_arguments_are_told(name, arguments, message):
    with pytest.raises(UserError) as error:
        check_augmenter(NlpaugConfig(name, arguments))
    assert str(error.value).startswith(message)


def test_a_value_the_augmenter_refuses_is_told():
    with pytest.raises(UserError, match=r"nlpaug's RandomWordAug cannot be made with .*'fly'.*It takes action, "):
        vary(TEXTS, NlpaugConfig("RandomWordAug", {"action": "fly"}), seed=0)


def test_a_missing_package_is_told(monkeypatch, tmp_path):
    (tmp_path / "glove.txt").write_text("film 0.1 0.2\nplot 0.2 0.1\n")
    monkeypatch.setitem(sys.modules, "gensim", None)
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    config = NlpaugConfig("WordEmbsAug", {"model_type": "glove", "model_path": str(tmp_path / "glove.txt")})
    with pytest.raises(UserError, match=r"nlpaug's WordEmbsAug needs a package that is missing .*pip install \"tango"):
        vary(TEXTS, config, seed=0)


def test_missing_nltk_data_is_told(monkeypatch):
    class NeedsWordNet:
        def augment(self, texts):
            raise LookupError("Resource wordnet not found.")

    monkeypatch.setattr(nlpaug_bridge, "_build", lambda name, arguments: NeedsWordNet())
    with pytest.raises(UserError) as error:
        vary(TEXTS, NlpaugConfig("SynonymAug"), seed=0)
    assert str(error.value) == (
        "nlpaug's SynonymAug needs data of NLTK that is missing here: pip install "
        '"tangodistill[augment]", then python -m nltk.downloader wordnet omw-1.4 averaged_perceptron_tagger_eng'
    )


def test_draws_below_one_are_refused():
    with pytest.raises(UserError, match="nlpaug.draws_per_text is 0: it must be at least 1."):
        check_augmenter(NlpaugConfig("RandomWordAug", draws_per_text=0))

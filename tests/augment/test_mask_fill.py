"""Words filled in by a masked language model or by GloVe: which ones, where, and as nlpaug and the model itself say."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from tangodistill.augment import candidates, masked_model, nlpaug_bridge
from tangodistill.augment.candidates import find_candidates, load_neighbours
from tangodistill.augment.mask_fill import MaskFillConfig, replaceable_words, vary
from tangodistill.augment.masked_model import SEVERAL_PIECES, load_masked_model
from tangodistill.user_error import UserError

WORDS = ["film", "plot", "actor", "scene", "story", "good", "bad", "warm", "slow", "dull", "bright", "joke", "cast"]
OTHERS = ["the", "is", "a", "and", "1990", "3", ".", ",", "!", "##s", "##ly", "##film", "[unused0]"]
TEXTS = ["the film is good and slow .", "a warm, dull story", "", "plot", "the bad film and the good film is bright !"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(autouse=True)
def precise(monkeypatch, tmp_path):
    """In float32, so that near ties come out as in nlpaug; GloVe's copies stay in the test's folder."""
    monkeypatch.setattr(masked_model, "has_bfloat16", lambda device: False)
    monkeypatch.setenv("TANGODISTILL_CACHE", str(tmp_path / "cache"))
    load_masked_model.cache_clear()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    folder.mkdir()
    vocabulary = [*SPECIAL, *WORDS, *OTHERS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary) + 3, max_position_embeddings=64, initializer_range=0.2, **SIZES
    )
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-roberta"
    folder.mkdir()
    pieces = tokenizers.ByteLevelBPETokenizer()
    both = [f"{space}{word}" for word in WORDS + OTHERS for space in ("", " ")]
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces.train_from_iterator(both * 9, 1000, min_frequency=5, special_tokens=special, show_progress=False)
    pieces.save_model(str(folder))
    mask = transformers.AddedToken("<mask>", lstrip=True, special=True)  # as published: the space is the mask's
    transformers.RobertaTokenizerFast.from_pretrained(folder, mask_token=mask).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=pieces.get_vocab_size(), max_position_embeddings=66, initializer_range=0.2, **SIZES
    )
    transformers.RobertaForMaskedLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def glove(tmp_path_factory):
    """Random vectors of 40 words in several spellings, and a word whose vector is zero."""
    words = [*WORDS, *(f"{word}ish" for word in WORDS), *(f"un{word}" for word in WORDS), "Filmish", "FILMISH"]
    vectors = np.random.default_rng(1).standard_normal((len(words), 5))
    lines = [f"{word} {' '.join(f'{value:.5f}' for value in row)}" for word, row in zip(words, vectors, strict=True)]
    path = tmp_path_factory.mktemp("vectors") / "glove.txt"
    path.write_text("\n".join([*lines, "nothing 0 0 0 0 0"]) + "\n")
    return str(path)


@pytest.fixture(params=["bert", "roberta"])
def model(request):
    return request.getfixturevalue(request.param)


def found(texts, model, glove="unused", original=False, count=5):
    return find_candidates(texts, [replaceable_words(text) for text in texts], model, glove, original, count)


def words_of(text):
    return [text[start:end] for start, end in replaceable_words(text)]


# --- against nlpaug


def nlpaug_model(folder, kind):
    """nlpaug's wrapper of a masked language model, which tells all candidates and not a random ten of them."""
    nlpaug_bridge._repair()
    from nlpaug.augmenter.word import ContextualWordEmbsAug

    wrapped = ContextualWordEmbsAug(model_path=folder, model_type=kind, top_k=None, force_reload=True).model
    pick = wrapped.pick
    wrapped.pick = lambda logits, ids, target_word, n: pick(logits, ids, target_word=target_word, n=10_000)
    return wrapped


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("top_k", [1, 5, 15, 10_000])
def test_candidates_are_nlpaugs(kind, top_k, request):
    """nlpaug counts pieces before it drops those that are no words, so its lists are the beginnings of these.

    It also proposes special tokens, and fills no word at the start of a text for RoBERTa.
    """
    folder = request.getfixturevalue(kind)
    theirs = nlpaug_model(folder, kind)
    theirs.top_k = top_k
    mask = theirs.get_mask_token()
    for text in ["the film is good and slow .", "the bad film and the good film is bright !"]:
        ours = found([text], folder, count=10_000)[0]
        for (start, end), own in zip(replaceable_words(text), ours, strict=True):
            masked = f"{text[:start]}{mask}{text[end:]}"
            target = text[start:end] if kind == "bert" else f"Ġ{text[start:end]}"
            [proposed] = theirs.predict([masked], target_words=[target])
            expected = [word.removeprefix("Ġ") for word in proposed if word not in [*SPECIAL, ""]]
            expected = [word for word in expected if word.isalnum()]  # RoBERTa's wrapper keeps "Ġ."
            assert set(own[: len(expected)]) == set(expected)
            assert top_k < 10_000 or len(own) == len(expected) > 10


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # gensim divides by the zero vector's length
def test_neighbours_are_nlpaugs(glove):
    from nlpaug.augmenter.word import WordEmbsAug

    theirs = WordEmbsAug(model_type="glove", model_path=glove, top_k=5, force_reload=True).model
    words = [f"un{word}" for word in WORDS] + WORDS
    assert load_neighbours(glove).find(words, 5) == [theirs.predict(word) for word in words]


# --- against the model itself


@pytest.mark.parametrize("original", [False, True])
def test_logits_of_a_masked_word_are_the_models(model, original):
    loaded = load_masked_model(model)
    for text in filter(None, TEXTS):
        encoded = loaded.encode([text], original)
        for position in loaded.pieces(encoded, [text], [replaceable_words(text)]):
            inputs = {name: torch.from_numpy(values.copy()) for name, values in encoded.items()}
            inputs["input_ids"][0, position] = loaded.tokenizer.mask_token_id
            with torch.inference_mode():
                expected = loaded.model(**inputs).logits[:, position]
            torch.testing.assert_close(loaded.logits(inputs, torch.tensor([position])), expected, atol=1e-5, rtol=0)
            halved = replace(loaded, bfloat16=True).logits(inputs, torch.tensor([position]))
            assert halved.dtype == torch.float32
            assert 0.95 < torch.corrcoef(torch.cat([halved, expected]))[0, 1] < 1


def test_the_original_is_the_second_segment(bert):
    loaded = load_masked_model(bert)
    encoded = loaded.encode(["film is good"], original=True)
    [(_, inputs)] = loaded._batches(encoded, np.array([0]), np.array([3]))
    shown = loaded.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    assert shown == ["[CLS]", "film", "is", "[MASK]", "[SEP]", "film", "is", "good", "[SEP]"]
    assert inputs["token_type_ids"].tolist() == [[0] * 5 + [1] * 4]


@pytest.mark.parametrize("original", [False, True])
def test_candidates_of_a_text_depend_on_no_other(model, original, monkeypatch):
    together = found(TEXTS, model, original=original)
    assert together == [found([text], model, original=original)[0] for text in TEXTS]
    assert together[::-1] == found(TEXTS[::-1], model, original=original)
    monkeypatch.setitem(masked_model.TOKENS_PER_BATCH, load_masked_model(model).model.device.type, 1)
    assert together == found(TEXTS, model, original=original)


def test_candidates_are_other_whole_words(model):
    for text, lists in zip(TEXTS, found(TEXTS, model, count=8), strict=True):
        for word, options in zip(words_of(text), lists, strict=True):
            assert len(set(options)) == len(options) == 8
            assert word not in options
            assert all(option.isalnum() for option in options)
            assert set(options) <= {*WORDS, *OTHERS}


def test_a_word_that_occurs_twice_is_filled_in_each_place(model):
    _, first, _, second, _ = found([TEXTS[4]], model)[0]
    assert words_of(TEXTS[4])[1::2] == ["film", "film"]
    assert first != second


def test_a_byte_level_piece_keeps_to_words_with_or_without_a_space(roberta):
    loaded = load_masked_model(roberta)
    vocabulary = loaded.tokenizer.get_vocab()
    text = 'film, "good" film'
    pieces = loaded.pieces(loaded.encode([text], False), [text], [replaceable_words(text)])
    shown = loaded.encode([text], False).tokens(0)
    assert [shown[piece] for piece in pieces] == ["film", "good", "Ġfilm"]
    assert not loaded.is_word[0, vocabulary["fi"]]  # no word by itself: there is no "Ġfi"
    assert loaded.is_word[:, vocabulary["plot"]].tolist() == [True, False]
    assert loaded.is_word[:, vocabulary["Ġplot"]].tolist() == [False, True]


# --- words of several pieces


def test_words_of_several_pieces_get_glove_neighbours_with_case_kept(bert, glove):
    expected = load_neighbours(glove).find(["warmish"], 3)[0]
    text = "warmish Warmish WARMISH plotly"
    lower, title, upper, unknown = found([text], bert, glove, count=3)[0]
    assert lower == expected and len(expected) == 3 and "warmish" not in expected
    assert title == [word[0].upper() + word[1:] for word in expected]
    assert upper == [word.upper() for word in expected]
    assert unknown == []  # not in GloVe, so the word stays


def test_a_word_that_the_tokenizer_does_not_know_gets_glove_neighbours(bert, glove):
    assert found(["unjoke"], bert, glove)[0][0] == load_neighbours(glove).find(["unjoke"], 5)[0]


def test_part_of_a_piece_is_not_the_word(bert):
    """The tokenizer reads "castn" as one piece, of which the word is "cast"."""
    loaded = load_masked_model(bert)
    text = "films castn't"
    spans = [[(0, 5), (6, 10)]]
    tokenizer = transformers.BertTokenizerFast(
        vocab={**loaded.tokenizer.get_vocab(), "castn": len(loaded.tokenizer)}, do_lower_case=True
    )
    changed = replace(loaded, tokenizer=tokenizer)
    pieces = changed.pieces(changed.encode([text], False), [text], spans)
    assert pieces.tolist() == [SEVERAL_PIECES, SEVERAL_PIECES]


def test_own_spellings_and_zero_vectors_are_no_neighbours(glove):
    neighbours = load_neighbours(glove)
    everything = neighbours.find(["filmish", "nothing", "unheard"], 100)
    assert not {"filmish", "Filmish", "FILMISH", "nothing"} & set(everything[0])
    assert everything[1:] == [[], []]
    assert len(everything[0]) == 3 * len(WORDS) - 1


def test_neighbours_do_not_depend_on_what_is_asked_beside(glove, monkeypatch):
    words = [f"un{word}" for word in WORDS]
    together = load_neighbours(glove).find(words, 7)
    load_neighbours.cache_clear()
    assert [load_neighbours(glove).find([word], 7)[0] for word in words] == together
    load_neighbours.cache_clear()
    monkeypatch.setattr(candidates, "WORDS_PER_PRODUCT", 2)
    assert load_neighbours(glove).find(words, 7) == together


# --- variants


def config_of(model, **changes):
    return MaskFillConfig(model, **{"glove": "unused", "context": "none", "candidates": 4, **changes})


def test_variants_follow_from_texts_config_and_generator(model):
    texts = [text for text in TEXTS for _ in range(20)]
    first = vary(texts, config_of(model), np.random.default_rng(3))
    assert vary(texts, config_of(model), np.random.default_rng(3)) == first
    assert vary(texts, config_of(model), np.random.default_rng(4)) != first
    assert len(set(first[:20])) > 5
    assert first[40:60] == [""] * 20


def test_only_content_words_change_and_the_form_stays(model, glove):
    text = 'The film,  it isn\'t "good" in 3 \n\tof WARM plot.'
    assert words_of(text) == ["film", "good", "WARM", "plot"]
    for variant in vary([text] * 50, config_of(model, p=1.0, glove=glove), np.random.default_rng(0)):
        replaced = re.fullmatch(r'The (\w+),  it isn\'t "(\w+)" in 3 \n\tof (\w+) (\w+)\.', variant).groups()
        assert all(new.lower() != old.lower() for new, old in zip(replaced, words_of(text), strict=True))
        assert replaced[2] == replaced[2].upper()
        assert "##" not in variant and "Ġ" not in variant


def test_nothing_changes_with_probability_zero(model):
    assert vary(TEXTS, config_of(model, p=0.0), np.random.default_rng(0)) == TEXTS


def test_words_are_replaced_independently_and_by_each_candidate_alike(bert):
    options = found(["film plot"], bert, count=4)[0]
    variants = vary(["film plot"] * 20_000, config_of(bert, p=0.4), np.random.default_rng(0))
    first, second = zip(*(variant.split() for variant in variants), strict=True)
    for words, own, its_options in zip((first, second), ("film", "plot"), options, strict=True):
        counts = Counter(words)
        assert set(counts) == {own, *its_options}
        assert counts[own] == pytest.approx(12_000, rel=0.05)
        assert all(counts[option] == pytest.approx(2_000, rel=0.1) for option in its_options)
    assert Counter(variants)["film plot"] == pytest.approx(7_200, rel=0.05)


@pytest.mark.parametrize("original", [False, True])
def test_words_beyond_the_models_length_stay(model, original):
    options = found(["film " * 100], model, original=original)[0]
    filled = [bool(each) for each in options]
    assert filled == sorted(filled, reverse=True)
    specials = load_masked_model(model).tokenizer.num_special_tokens_to_add(pair=original)
    assert 64 - specials - 1 <= sum(filled) * (2 if original else 1) <= 64 - specials + 1


def test_texts_without_a_word_to_fill_need_no_model():
    texts = ["", " ", "it is the 3rd .", "..."]
    assert vary(texts, config_of("no such model"), np.random.default_rng(0)) == texts
    assert vary([], config_of("no such model"), np.random.default_rng(0)) == []


def test_torch_has_its_threads_back(bert):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    vary(TEXTS, config_of(bert), np.random.default_rng(0))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 3


# --- messages


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p": 1.5}, "mask_fill.p is 1.5: a probability lies between 0 and 1."),
        ({"p": float("nan")}, "mask_fill.p is nan: a probability lies between 0 and 1."),
        ({"candidates": 0}, "mask_fill.candidates is 0: it must be at least 1."),
        ({"draws_per_text": 0}, "mask_fill.draws_per_text is 0: it must be at least 1."),
        ({"context": "both"}, "mask_fill.context is 'both': it must be original or none."),
    ],
)
def test_values_out_of_range_are_told(changes, message):
    MaskFillConfig("any").check()
    with pytest.raises(UserError) as error:
        MaskFillConfig("any", **changes).check()
    assert str(error.value) == message


def test_a_model_out_of_reach_is_told():
    with pytest.raises(UserError) as error:
        found(["film"], "bert-base-of-nowhere")
    assert str(error.value).startswith(
        "mask_fill.model: no masked language model could be loaded from 'bert-base-of-nowhere': "
    )
    assert str(error.value).endswith(
        "Give a folder with config.json, model.safetensors and tokenizer.json, "
        "or a hub name while the hub can be reached."
    )


def test_an_encoder_without_its_head_is_told(bert, tmp_path):
    transformers.BertModel.from_pretrained(bert).save_pretrained(tmp_path)
    load_masked_model(bert).tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"holds an encoder without its masked-language-model head \(cls\.\S+ is miss"):
        found(["film"], str(tmp_path))


def test_a_model_of_another_kind_is_told(bert, tmp_path):
    config = transformers.DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    transformers.DistilBertForMaskedLM(config).save_pretrained(tmp_path)
    load_masked_model(bert).tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="DistilBertForMaskedLM .*give a masked language model of BERT's or RoBERTa's"):
        found(["film"], str(tmp_path))

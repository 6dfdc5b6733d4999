"""The rules keep to their probabilities and to their tags."""

import numpy as np
import pytest

from tangodistill.augment.corpus import Corpus, build_corpus
from tangodistill.augment.rules import RulesConfig, vary
from tangodistill.user_error import UserError

TAGS = {"a": "D", "the": "D", "cat": "N", "dog": "N", "cow": "N", "runs": "V", "sits": "V", ",": ","}


def corpus_of(*texts: str) -> Corpus:
    return build_corpus(texts, lambda sentences: [[TAGS.get(word, "X") for word in words] for words in sentences])


def variants(corpus: Corpus, config: RulesConfig, row: int = 0, n: int = 20_000) -> tuple[list[str], np.ndarray]:
    texts, none_left = vary(corpus, np.full(n, row), config, np.random.default_rng(0))
    return texts.to_pylist(), none_left


def test_no_rule_leaves_the_text_as_it_is():
    corpus = corpus_of('the  cat, it\'s "a dog"', "")
    config = RulesConfig(0, 0, 0)
    assert set(variants(corpus, config, 0, 3)[0]) == {'the cat, it\'s "a dog"'}
    assert variants(corpus, config, 1, 2)[0] == ["", ""]


def test_each_word_is_masked_with_its_own_draw():
    texts, _ = variants(corpus_of("the cat runs a dog sits"), RulesConfig(0.1, 0, 0))
    masked = np.array([[word == "[MASK]" for word in text.split()] for text in texts])
    assert masked.mean(axis=0) == pytest.approx([0.1] * 6, abs=0.01)
    assert np.corrcoef(masked.T)[np.triu_indices(6, 1)] == pytest.approx(0, abs=0.03)


def test_replacement_draws_from_the_unigram_distribution_of_the_tag():
    corpus = corpus_of("the cat runs", "the dog sits", "the dog runs", "the dog runs")
    texts, _ = variants(corpus, RulesConfig(0, 1, 0))
    words = np.array([text.split() for text in texts])
    assert set(words[:, 0]) == {"the"} and set(words[:, 2]) == {"runs", "sits"}
    assert (words[:, 1] == "dog").mean() == pytest.approx(3 / 4, abs=0.02)
    assert (words[:, 2] == "sits").mean() == pytest.approx(1 / 4, abs=0.02)


def test_replacement_keeps_every_tag_and_the_spacing():
    corpus = corpus_of("a cat, the dog runs", "the cow sits")
    texts, _ = variants(corpus, RulesConfig(0, 0.5, 0), n=500)
    for text in texts:
        first, rest = text.split(", ")
        assert [TAGS[word] for word in (*first.split(), *rest.split())] == ["D", "N", "D", "N", "V"]


def test_ngrams_are_one_to_five_words_and_start_anywhere():
    words = [f"w{i}" for i in range(8)]
    texts, _ = variants(corpus_of(" ".join(words)), RulesConfig(0, 0, 1))
    runs = [text.split() for text in texts]
    lengths = np.array([len(run) for run in runs])
    starts = np.array([words.index(run[0]) for run in runs])
    assert all(run == words[start : start + len(run)] for run, start in zip(runs, starts, strict=True))
    for length in range(1, 6):
        assert (lengths == length).mean() == pytest.approx(1 / 5, abs=0.02)
        places = np.bincount(starts[lengths == length]) / (lengths == length).sum()
        assert places == pytest.approx([1 / (9 - length)] * (9 - length), abs=0.03)


def test_ngrams_come_as_often_as_asked_and_spare_short_texts():
    long, short = corpus_of("a cat runs a dog sits a cow"), corpus_of("a cat")
    texts, _ = variants(long, RulesConfig(0, 0, 0.25))
    assert np.mean([len(text.split()) < 8 for text in texts]) == pytest.approx(0.25, abs=0.01)
    assert set(variants(short, RulesConfig(0, 0, 1))[0]) == {"a", "cat", "a cat"}


def test_tells_texts_without_a_source_word():
    texts, none_left = variants(corpus_of("cat dog"), RulesConfig(0.5, 0, 0.5))
    assert none_left.tolist() == [not ("cat" in text or "dog" in text) for text in texts]
    assert 0.2 < none_left.mean() < 0.5


def test_corpus_keeps_multiplicity_and_comes_back_from_its_table():
    corpus = corpus_of("a cat", "a dog", "a cat")
    loaded = Corpus.from_table(corpus.to_table())
    assert corpus.words_per_row.tolist() == loaded.words_per_row.tolist() == [2, 2, 2]
    assert len(corpus.offsets) == 3 and len(corpus.pool) == 6
    seeded = (np.arange(3), RulesConfig(0.3, 0.3, 0.3))
    first, again = (vary(c, *seeded, np.random.default_rng(5))[0] for c in (corpus, loaded))
    assert first.equals(again)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"p_ngram": 1.5}, "rules.p_ngram is 1.5: a probability lies between 0 and 1."),
        (
            {"p_mask": 0.6, "p_pos": 0.5},
            "rules.p_mask 0.6 and rules.p_pos 0.5 add up to more than 1: "
            "a word is either masked, or replaced, or kept.",
        ),
        ({"draws_per_text": 0}, "rules.draws_per_text is 0: it must be at least 1."),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError) as error:
        RulesConfig(**settings).check()
    assert str(error.value) == message

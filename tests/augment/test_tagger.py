"""Tags from what ships with the package's dependencies."""

import importlib.util

import pytest

from tangodistill.augment.tagger import tag_sentences, tagger_name

needs_textblob = pytest.mark.skipif(
    importlib.util.find_spec("spacy") is not None, reason="spaCy is installed and takes TextBlob's place"
)


def test_one_tag_per_word_nouns_and_determiners_told_apart():
    tags = tag_sentences([["the", "film", "is", "a", "quiet", "triumph", "."], [], ["films"]])
    assert [len(t) for t in tags] == [7, 0, 1]
    assert tags[0][0] == tags[0][3] == "DT"
    assert tags[0][1] == tags[0][5] == "NN"
    assert tags[2] == ["NNS"]


@needs_textblob
def test_textblob_tags_as_its_own_tagger_does():
    from textblob.taggers import PatternTagger

    for sentence in ("the actors ' best work", "a deeply moving Finnish film , 90 minutes long"):
        expected = [tag for _, tag in PatternTagger().tag(sentence, tokenize=False)]
        assert tag_sentences([sentence.split()]) == [expected]
    assert tagger_name().startswith("textblob ")


@needs_textblob
def test_a_capital_after_a_full_stop_makes_no_name():
    words = "It ends . Those who wait are rewarded".split()
    assert tag_sentences([words])[0][3] == tag_sentences([["those"]])[0][0]

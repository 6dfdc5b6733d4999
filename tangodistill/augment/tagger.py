"""Part-of-speech tags of words: an installed English spaCy pipeline, else TextBlob's pattern tagger."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

Tag = Callable[[Sequence[Sequence[str]]], list[list[str]]]


def tagger_name() -> str:
    """The tagger that serves here, with its version: one of spaCy's English pipelines if any is installed.

    TextBlob's tagger looks words up in a lexicon that ships with it, so it needs no download; spaCy's looks at the
    context too, is more often right, and about a hundred times slower.
    """
    pipeline = _spacy_pipeline()
    return f"spacy {pipeline} {version(pipeline)}" if pipeline else f"textblob {version('textblob')}"


def tag_sentences(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """Penn Treebank tags, one per word, for texts given as lists of words."""
    return _tagger()(sentences)


@cache
def _tagger() -> Tag:
    pipeline = _spacy_pipeline()
    return _spacy_tagger(pipeline) if pipeline else _textblob_tagger()


@cache
def _spacy_pipeline() -> str | None:
    """The first installed pipeline for English, by name (``en_core_web_sm`` and its like)."""
    if find_spec("spacy") is None:
        return None
    import spacy

    return next((name for name in sorted(spacy.util.get_installed_models()) if name.startswith("en_")), None)


def _spacy_tagger(pipeline: str) -> Tag:
    import spacy
    from spacy.tokens import Doc

    nlp = spacy.load(pipeline, exclude=["parser", "ner", "lemmatizer", "attribute_ruler", "senter"])

    def tag(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        documents = (Doc(nlp.vocab, words=list(words)) for words in sentences)
        return [[word.tag_ for word in document] for document in nlp.pipe(documents)]

    return tag


def _textblob_tagger() -> Tag:
    from textblob.en import parser

    def tag(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        return [[tag for part in _up_to_full_stops(words) for _, tag in parser.find_tags(part)] for words in sentences]

    return tag


def _up_to_full_stops(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Parts that end with a full stop, since TextBlob takes a capital for a name except in a sentence's first word."""
    start = 0
    for end, word in enumerate(words, start=1):
        if word in {".", "!", "?"}:
            yield words[start:end]
            start = end
    yield words[start:]

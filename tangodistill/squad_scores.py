"""Exact match and F1 of answers, by the rules of the official SQuAD 1.1 script.

Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text", evaluate-v1.1.py.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Mean exact match and F1 over the questions, in 0..1; a question without a prediction scores 0.

    Args:
        predictions: answer by question id.
        gold: right answers by question id, one or more each.

    Raises: ValueError without questions, or for one without right answers.

    >>> squad({"q1": "the Nile", "q2": "in 1912"}, {"q1": ["Nile"], "q2": ["1912", "April 1912"]})["em"]
    0.5
    """
    if not gold:
        raise ValueError("no questions to score")
    unanswered = next((key for key, golds in gold.items() if not golds), None)
    if unanswered is not None:
        raise ValueError(f"question {unanswered!r} has no right answer")
    scores = [squad_scores(predictions[key], golds) for key, golds in gold.items() if key in predictions]
    em, f1 = (sum(column) / len(gold) for column in zip((0.0, 0.0), *scores, strict=True))
    return {"em": em, "f1": f1}


def squad_scores(answer: str, golds: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of one answer, each against the right answer that suits it best.

    Answers are compared in lower case, without punctuation and articles; F1 is that of two bags of words. As in the
    official script, two answers of which nothing is left match, but share no word: 1 and 0.

    >>> squad_scores("The Nile River!", ["Nile", "the river Nile"])
    (0.0, 1.0)
    """
    words = _words(answer)
    pairs = [(words, _words(gold)) for gold in golds]
    return float(any(ours == theirs for ours, theirs in pairs)), max(_f1(ours, theirs) for ours, theirs in pairs)


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _f1(ours: list[str], theirs: list[str]) -> float:
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0

"""Small data with its roles assigned."""

import pytest
from datasets import Dataset

from tangodistill.data.splits import Roles
from tangodistill.tasks import Task

NOUNS = ["film", "plot", "actor", "scene", "story", "script", "cast", "score", "joke", "ending"]
ADJECTIVES = ["good", "bad", "quiet", "loud", "dull", "bright", "slow", "quick", "warm", "cold"]


def sentence(number: int) -> str:
    a, b, c, d = (number // 10**place % 10 for place in range(4))
    return f"the {ADJECTIVES[a]} {NOUNS[b]} has a {ADJECTIVES[c]} {NOUNS[d]}, and it isn't short."


def table(numbers: range, pairs: bool) -> Dataset:
    columns = {
        "example_id": [f"row-{number}" for number in numbers],
        "text": [sentence(number) for number in numbers],
        "label": [number % 2 for number in numbers],
    }
    if pairs:
        columns["text_pair"] = [f"Q{number} asks whether the {NOUNS[number % 10]} is new" for number in numbers]
    return Dataset.from_dict(columns)


@pytest.fixture
def make_roles():
    def make(train: int = 60, pairs: bool = False) -> Roles:
        names = ("text", "text_pair") if pairs else ("text",)
        return Roles(
            task=Task("custom", names, "label", ("no", "yes"), "accuracy", 64),
            train=table(range(train), pairs),
            selection=table(range(9000, 9010), pairs),
            calibration=table(range(9100, 9110), pairs),
            report=table(range(9200, 9210), pairs),
            files={},
            dropped={},
            warnings=[],
        )

    return make

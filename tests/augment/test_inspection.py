"""What an inspection tells of a set, against counts made one text at a time."""

import doctest
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, load_from_disk
from datasets.features import Features, Value

from tangodistill.augment import inspection, near_texts, word_ids
from tangodistill.augment.inspection import inspect_set, read_confidence, write_inspection
from tangodistill.augment.inspection_tables import print_inspection
from tangodistill.augment.near_texts import NEAR
from tangodistill.data.glove import SPECIAL_TOKENS, count_words, student_words
from tangodistill.data.transfer import write_json, write_transfer_set

WORDS = "the a film plot [MASK] , good bad dull It's does n't DOESN'T caf\u00e9 (fine) \u2026 well--done 3.5".split()
WORDS += ["\t", "\u00a0", "x[MASK]"]


def random_texts(n: int, seed: int, longest: int = 14) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(0, longest))) for _ in range(n)]


def single(*texts: str) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string())})


def paired(firsts: list[str], seconds: list[str]) -> pa.Table:
    return pa.table({"text": pa.array(firsts, pa.string()), "text_pair": pa.array(seconds, pa.string())})


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(word_ids, "SLICE", 7)
    monkeypatch.setattr(word_ids, "REMEMBERED", 5)


def words_of(table: pa.Table) -> list[list[list[str]]]:
    """Of each row the words of each side."""
    sides = [student_words(column.to_pylist()) for column in table.columns]
    return [list(row) for row in zip(*sides, strict=True)]


def word_set(row: list[list[str]]) -> set:
    return {
        (side, word)
        for side, words in enumerate(row)
        for word in words
        if word not in SPECIAL_TOKENS and any(map(str.isalnum, word))
    }


def jaccard(first: set, second: set) -> float:
    return len(first & second) / len(first | second) if first and second else 0.0


def similarities(rows: pa.Table, report: pa.Table) -> np.ndarray:
    """(rows, report texts)"""
    left, right = ([word_set(row) for row in words_of(table)] for table in (rows, report))
    return np.array([[jaccard(a, b) for b in right] for a in left]).reshape(len(left), len(right))


def all_ngrams(table: pa.Table, n: int) -> list[tuple[str, ...]]:
    texts = [words for row in words_of(table) for words in row]
    return [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]


SIZES_AND_SEEDS = ((200, 1), (40, 2), (60, 3))
SETS = {
    "single": [single(*random_texts(n, seed)) for n, seed in SIZES_AND_SEEDS],
    "short": [single(*random_texts(n, seed, 4)) for n, seed in SIZES_AND_SEEDS],
    "pairs": [paired(random_texts(n, seed, 4), random_texts(n, seed + 9, 3)) for n, seed in SIZES_AND_SEEDS],
}


@pytest.mark.parametrize("name", SETS)
def test_every_figure_equals_a_count_by_hand(name):
    rows, originals, report = SETS[name]
    found = inspect_set(rows, originals, report, report, samples=1000, vocabulary=12)
    assert found["rows"] == 200
    for kind, table in (("set", rows), ("originals", originals)):
        for n in (1, 2, 3):
            grams = all_ngrams(table, n)
            assert found["distinct"][kind][n - 1] == pytest.approx(len(set(grams)) / len(grams))
        lengths = [sum(map(len, row)) for row in words_of(table)]
        for each in found["lengths"]:
            assert each[kind] == sum(each["from"] <= length <= each["to"] for length in lengths)
        assert sum(each[kind] for each in found["lengths"]) == len(table)

    counts = count_words(text for column in rows.columns for text in column.to_pylist())
    known = sum(count for _, count in counts.most_common(12 - len(SPECIAL_TOKENS)))
    assert found["unknown"]["share"] == pytest.approx(1 - known / counts.total())
    assert found["unknown"]["distinct_words"] == len(counts) and found["unknown"]["vocabulary"] == 8

    near, expected = found["near_report"], similarities(rows, report)
    assert (expected >= NEAR).any()
    assert near["rows"] == (expected >= NEAR).any(axis=1).sum()
    assert near["share"] == near["rows"] / 200
    assert near["report_rows"] == (expected >= NEAR).any(axis=0).sum() == len(near["examples"])
    nearest = sorted((value for value in expected.max(axis=0) if value >= NEAR), reverse=True)
    assert [each["similarity"] for each in near["examples"]] == [round(float(value), 4) for value in nearest]
    for each in near["examples"]:
        row = {name: each[name] for name in rows.column_names}
        value = similarities(pa.Table.from_pylist([row]), pa.Table.from_pylist([each["report"]]))
        assert row in rows.to_pylist() and round(float(value[0, 0]), 4) == each["similarity"]


def test_near_is_what_changes_one_word_of_ten():
    report = single("a quiet film about two sisters and their long lost brother .", "short one")
    rows = single(
        "a quiet film about two sisters and [MASK] long lost brother",
        "A loud film about two sisters and their long lost brother!",
        "a loud play about two sisters and their long lost brother",
        "one short",
        "short",
        "...",
        "",
    )
    near = inspect_set(rows, rows, report, report)["near_report"]
    assert near["rows"] == 3 and near["report_rows"] == 2
    assert [(each["text"], each["similarity"]) for each in near["examples"]] == [
        ("one short", 1.0),
        ("a quiet film about two sisters and [MASK] long lost brother", round(10 / 11, 4)),
    ]


def test_sides_of_a_pair_do_not_mix():
    report = paired(["who made it"], ["a man did"])
    rows = paired(["a man did", "it made who"], ["who made it", "a man did"])
    assert inspect_set(rows, rows, report, report)["near_report"]["rows"] == 1


@pytest.mark.parametrize("make", [single, lambda: paired([], [])])
def test_nothing_is_no_error(make, capsys):
    found = inspect_set(make(), make(), make(), make())
    assert found["rows"] == 0 and found["lengths"] == [] and found["samples"] == []
    assert found["distinct"]["set"] == [None] * 3 and found["unknown"]["share"] is None
    print_inspection(found, None)
    assert "Transfer set" in capsys.readouterr().out
    assert (
        inspect_set(single("", "a film"), make() if make is single else single(), single("dull"), single("dull"))[
            "rows"
        ]
        == 2
    )


def test_distinct_n_and_samples_are_of_a_seeded_sample(monkeypatch):
    monkeypatch.setattr(inspection, "SAMPLED", 50)
    rows, originals, report = SETS["single"]
    first, again, other = (inspect_set(rows, originals, report, report, samples=5, seed=seed) for seed in (0, 0, 1))
    assert first["distinct"]["rows"] == {"set": 50, "originals": 40}
    assert json.dumps(first) == json.dumps(again) != json.dumps(other)
    assert first["near_report"] == other["near_report"] and first["samples"] != other["samples"]
    given = Counter(rows["text"].to_pylist())
    assert len(first["samples"]) == 5 and not Counter(row["text"] for row in first["samples"]) - given


def test_a_set_on_disk_reads_as_its_table(tmp_path):
    rows, originals, report = SETS["pairs"]
    features = Features({name: Value("string") for name in rows.column_names})
    write_transfer_set(tmp_path, [rows.slice(0, 90), rows.slice(90)], features, {"key": "k"})
    expected = inspect_set(rows, originals, report, report)
    assert inspect_set(load_from_disk(str(tmp_path)), originals, report, report) == expected
    labelled = Dataset.from_dict({**rows.to_pydict(), "logits": [[0.0, 1.0]] * 200})
    shuffled = labelled.select(range(199, -1, -1)).select(range(199, -1, -1))
    assert inspect_set(shuffled, originals, report, report) == expected
    write_inspection(tmp_path, expected)
    assert json.loads((tmp_path / "inspection.json").read_text(encoding="utf-8")) == expected
    assert len(load_from_disk(str(tmp_path))) == 200


def test_the_terminal_shows_texts_as_they_are(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    rows = single("a [MASK] [red]film about two sisters and a lost brother", "dull")
    report = single("a film about two sisters and a lost [/] brother")
    print_inspection(
        inspect_set(rows, rows, report, report), {"edges": [0.5, 0.75, 1.0], "counts": [1, 3], "mean": 0.8125}
    )
    shown = capsys.readouterr().out
    for words in (
        "[MASK] [red]film",
        "lost [/] brother",
        "distinct-3",
        "0.75–1.00",
        "75.0 %",
        "81.2 %",
        "0.89",
        "8–11",
    ):
        assert words in shown, words


def test_confidence_is_that_of_a_copy_of_this_very_set(tmp_path):
    def write(folder, **manifest):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_json(tmp_path / folder / "manifest.json", manifest)

    assert read_confidence(tmp_path / "augment") is None
    write("augment", key="k")
    write("earlier", key="other", confidence={"mean": 0.1})
    assert read_confidence(tmp_path / "augment") is None
    write("label", key="k", confidence={"mean": 0.9})
    assert read_confidence(tmp_path / "augment") == {"mean": 0.9}


@pytest.mark.parametrize("module", [inspection, near_texts, word_ids])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def test_words_of_held_out_texts_that_a_student_would_not_know():
    rows = single("a film", "a film", "dull")
    found = inspect_set(rows, rows, single("x"), single("a dull plot"), vocabulary=len(SPECIAL_TOKENS) + 2)
    assert found["unknown"]["held_out"] == pytest.approx(2 / 3)  # dull, plot


@pytest.mark.parametrize(("text", "other"), [("今天很冷。", "很冷今天！"), ("ก็ดี", "ดีก็"), ("さむい日", "日さむい")])
def test_where_no_blanks_part_words_characters_are_known_in_new_texts(text, other):
    found = inspect_set(single(text), single(text), single("x"), single(other.rstrip("！")))
    assert found["unknown"]["held_out"] == 0

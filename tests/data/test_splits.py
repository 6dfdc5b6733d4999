"""Roles: who gets which rows, and that no held-out text is trained on."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from tangodistill.data.leaks import normalise
from tangodistill.data.sources import DatasetConfig, LabelledData, load_labelled
from tangodistill.data.splits import HELD_OUT, assign_roles, load_roles
from tangodistill.tasks import Task, get_task
from tangodistill.user_error import UserError

GLUE = Path(__file__).parents[2].parent / "shared/data/glue"
needs_glue = pytest.mark.skipif(not GLUE.is_dir(), reason=f"real data not at {GLUE}")

SINGLE = Task("custom", ("text",), "label", ("x", "y", "z"), "accuracy", 64)
PAIR = Task("custom", ("a", "b"), "label", ("x", "y"), "accuracy", 64)


def labelled(task: Task, **splits: list[tuple]) -> LabelledData:
    """Rows of (text, label) or (text, text_pair, label) by split."""
    data = {}
    for split, rows in splits.items():
        columns = ("text", "text_pair", "label")[-len(rows[0]) :] if task.is_pair else ("text", "label")
        data[split] = Dataset.from_dict(
            {"example_id": [f"{split}-{i}" for i in range(len(rows))]}
            | dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        )
    return LabelledData(task, data, {split: f"{split}.csv" for split in splits}, "0")


def sentences(count: int, seed: int = 0) -> list[tuple[str, int]]:
    """Distinct texts of three classes, 70 : 20 : 10."""
    rng = np.random.default_rng(seed)
    return [(f"w{seed} number {i} of {rng.integers(1e9)}", int(rng.choice(3, p=[0.7, 0.2, 0.1]))) for i in range(count)]


def keys(rows: Dataset) -> set:
    texts = map(normalise, rows["text"][:])
    return (
        set(zip(texts, map(normalise, rows["text_pair"][:]), strict=True))
        if "text_pair" in rows.features
        else set(texts)
    )


def assert_apart(roles) -> None:
    """No held-out text among the training rows, each id in one role only."""
    for role in HELD_OUT:
        assert not keys(roles.train) & keys(getattr(roles, role))
    ids = Counter(i for role in ("train", *HELD_OUT) for i in getattr(roles, role)["example_id"][:])
    assert max(ids.values()) == 1


# --- which split has which role


def test_own_table_alone_is_cut_three_times():
    data = labelled(SINGLE, train=sentences(3_000))
    roles = assign_roles(data)
    assert [len(getattr(roles, role)) for role in ("train", *HELD_OUT)] == [2_100, 300, 300, 300]
    assert roles.files["report"] == "slice of train.csv, 300 rows"
    assert roles.files["train"] == "train.csv without the slices, 2,100 rows"
    assert_apart(roles)
    shares = [
        np.bincount(getattr(roles, role)["label"][:]) / len(getattr(roles, role)) for role in ("train", *HELD_OUT)
    ]
    assert np.ptp(shares, axis=0).max() < 0.01  # stratified


def test_rows_that_hang_together_are_one_group_in_a_slice_and_in_a_file_given_whole():
    kept = [
        ("a film that is worth it", 0),
        ("A film that is worth it !", 1),
        ("see a film that is worth it", 0),
        ("b", 1),
    ]
    given = assign_roles(labelled(SINGLE, train=sentences(300), test=kept))
    assert given.groups("report").tolist() == [0, 0, 0, 3]
    assert len(set(given.groups("calibration").tolist())) == len(given.calibration)
    pairs = [("x", "y", 0), ("z", "X", 1), ("u", "v", 0)]
    roles = assign_roles(labelled(PAIR, train=[(f"t{i // 3}", f"p{i}", i % 2) for i in range(600)], test=pairs))
    assert roles.groups("report").tolist() == [0, 0, 2]
    assert len(set(roles.groups("calibration").tolist())) == len(roles.calibration) / 3


def test_own_validation_and_test_files_are_selection_and_report():
    roles = assign_roles(labelled(SINGLE, train=sentences(500), validation=sentences(30, 1), test=sentences(40, 2)))
    assert [len(getattr(roles, role)) for role in ("train", *HELD_OUT)] == [450, 30, 50, 40]
    assert roles.files["selection"] == "validation.csv, 30 rows" and roles.files["report"] == "test.csv, 40 rows"


def test_published_task_with_a_labelled_test():
    task = get_task("sst2")
    rows = [(text, label % 2) for text, label in sentences(500)]
    data = labelled(task, train=rows, validation=[("dev text", 0)], test=[("test text", 1)])
    roles = assign_roles(data)
    assert roles.calibration["text"][:] == ["dev text"] and roles.report["text"][:] == ["test text"]
    assert len(roles.selection) == 50 and len(roles.train) == 450


def test_published_task_without_a_labelled_test_reports_its_dev_split():
    rows = [(text, label % 2) for text, label in sentences(500)]
    roles = assign_roles(labelled(get_task("cola"), train=rows, validation=[("dev text", 0)]))
    assert roles.report["text"][:] == ["dev text"]
    assert [len(roles.selection), len(roles.calibration), len(roles.train)] == [50, 50, 400]


# --- slices


def test_slices_depend_on_the_seed_only():
    data = labelled(SINGLE, train=sentences(500))
    assert assign_roles(data, 3).selection[:] == assign_roles(data, 3).selection[:]
    assert assign_roles(data, 3).selection[:] != assign_roles(data, 4).selection[:]


def test_a_slice_has_at_most_2000_rows():
    roles = assign_roles(labelled(SINGLE, train=sentences(30_000)))
    assert [len(getattr(roles, role)) for role in HELD_OUT] == [2_000] * 3


def test_phrases_stay_with_their_sentence():
    rows = []
    for i in range(300):
        words = [f"s{i}w{j}" for j in range(12)]
        rows += [(" ".join(words[a : a + 5]), i % 3) for a in range(0, 8)] + [(" ".join(words), i % 3)]
    roles = assign_roles(labelled(SINGLE, train=rows))
    for role in HELD_OUT:
        inside = {text.split("w")[0] for text in getattr(roles, role)["text"][:]}
        assert not inside & {text.split("w")[0] for text in roles.train["text"][:]}
        assert 250 <= len(getattr(roles, role)) <= 270


def test_a_group_larger_than_the_slice_stays_in_train():
    long = " ".join(f"w{i}" for i in range(900))
    tied = [(" ".join(long.split()[i : i + 6]), i % 3) for i in range(800)] + [(long, 0)]
    roles = assign_roles(labelled(SINGLE, train=tied + [(text, i % 3) for i, (text, _) in enumerate(sentences(700))]))
    assert [len(getattr(roles, role)) for role in HELD_OUT] == [150] * 3
    assert set(text for text, _ in tied) <= set(roles.train["text"][:])
    assert roles.warnings == []


def test_mostly_tied_rows_are_warned_of():
    pairs = [(f"text {i}", "the one prompt", i % 2) for i in range(900)] + [
        (f"a {i}", f"b {i}", i % 2) for i in range(100)
    ]
    roles = assign_roles(labelled(PAIR, train=pairs))
    sizes = {role: len(getattr(roles, role)) for role in HELD_OUT}
    assert all(32 <= size <= 33 for size in sizes.values())
    assert roles.warnings == [
        f"The {role} role has {sizes[role]} rows instead of 100: most training rows hang together by shared texts."
        for role in ("report", "calibration", "selection")
    ]


def test_pairs_that_share_a_text_stay_together():
    rng = np.random.default_rng(0)
    rows = [(f"q{rng.integers(400)}", f"a{rng.integers(4_000)}", int(rng.integers(2))) for _ in range(600)]
    roles = assign_roles(labelled(PAIR, train=rows))
    sides = [
        set(rows["text"][:]) | set(rows["text_pair"][:])
        for rows in (getattr(roles, role) for role in ("train", *HELD_OUT))
    ]
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_what_cannot_be_cut_says_so():
    tied = [(f"text {i}", "the one prompt", i % 2) for i in range(50)]
    with pytest.raises(UserError) as error:
        assign_roles(labelled(PAIR, train=tied))
    assert str(error.value) == (
        "train.csv: 50 rows cannot be cut into roles (too few, or tied together by shared texts); "
        "give more rows, or dataset.validation and dataset.test."
    )
    with pytest.raises(UserError, match=r"^train.csv: 4 rows cannot be cut into roles"):
        assign_roles(labelled(SINGLE, train=[("a", 0), ("b", 1), ("c", 2), ("d", 0)]))


# --- leak guard


def test_training_rows_that_equal_a_held_out_text_are_dropped_before_slices_are_cut():
    train = sentences(500) + [("A leaked   text!", 0), ("another one", 1), ("a LEAKED text", 2)]
    data = labelled(SINGLE, train=train, validation=[("a leaked text", 0)], test=[("Another one.", 1)])
    roles = assign_roles(data)
    assert roles.dropped == {"selection": 2, "calibration": 0, "report": 1}
    assert_apart(roles)
    assert not keys(roles.calibration) & (keys(roles.selection) | keys(roles.report))
    assert len(roles.train) + len(roles.calibration) == 500


def test_a_test_file_that_repeats_the_training_file_is_refused():
    rows = sentences(50)
    with pytest.raises(UserError, match="^Every training row equals a row of the validation or test split"):
        assign_roles(labelled(SINGLE, train=rows, test=rows))


def test_only_whole_pairs_leak():
    rows = [(f"q {i}", f"a {i}", i % 2) for i in range(200)]
    roles = assign_roles(labelled(PAIR, train=rows, test=[("Q 3", "a 3.", 1), ("q 4", "a 5", 0)]))
    assert roles.dropped["report"] == 1


def test_guard_of_the_roles_knows_all_held_out_texts():
    roles = assign_roles(labelled(SINGLE, train=sentences(300)))
    guard = roles.leak_guard()
    for role in HELD_OUT:
        assert guard.leaks([text.upper() for text in getattr(roles, role)["text"][:]]).all()
    assert not guard.leaks(roles.train["text"][:]).any()


def test_rare_classes_are_warned_of_once(tmp_path):
    path = tmp_path / "own.csv"
    rows = [f"text {i} w{i},{'xy'[i % 2]}" for i in range(200)] + ["odd one,rare", "odd two,rare"]
    path.write_text("\n".join(["text,label", *rows]))
    with pytest.warns(UserWarning) as caught:
        roles = load_roles(DatasetConfig(str(path)))
    assert [str(w.message) for w in caught] == roles.warnings
    assert roles.warnings == ["Fewer than 20 training examples of: 'rare' (2); expect poor answers there."]


# --- real data


@needs_glue
def test_sst2_roles():
    data = load_labelled(DatasetConfig(str(GLUE / "SST-2"), "sst2"))
    start = time.perf_counter()
    roles = assign_roles(data)
    assert time.perf_counter() - start < 60  # 1 s on an idle core
    assert roles.files == {
        "train": "train.tsv without the slices, 65,334 rows",
        "selection": "slice of train.tsv, 2,000 rows",
        "calibration": "dev.tsv, 872 rows",
        "report": "test_labelled.tsv, 1,821 rows",
    }
    assert roles.dropped == {"selection": 0, "calibration": 5, "report": 10}
    assert roles.warnings == []
    assert_apart(roles)
    held_out = [f" {' '.join(text.split())} " for text in roles.selection["text"][:] if len(text.split()) >= 4]
    everything = "\n".join(f" {' '.join(text.split())} " for text in roles.train["text"][:])
    assert not any(text in everything for text in held_out[:30])  # a random slice: 86 % are


@needs_glue
def test_qnli_pairs_never_mix_sides():
    roles = assign_roles(load_labelled(DatasetConfig(str(GLUE / "QNLI"), "qnli")))
    assert [len(getattr(roles, role)) for role in ("train", *HELD_OUT)] == [7_999, 1_000, 1_000, 5_463]
    sides = [
        set(rows["text"][:]) | set(rows["text_pair"][:]) for rows in (roles.train, roles.selection, roles.calibration)
    ]
    assert sum(map(len, sides)) == len(set.union(*sides))


@needs_glue
def test_cola_roles():
    roles = assign_roles(load_labelled(DatasetConfig(str(GLUE / "CoLA"), "cola")))
    assert roles.files["report"] == "dev.tsv, 1,043 rows" and len(roles.calibration) == len(roles.selection) == 853
    assert_apart(roles)

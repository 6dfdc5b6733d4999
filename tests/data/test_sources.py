"""Every source ends in the same columns; every mistake in a message that says what to do."""

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tangodistill.data import hub, sources
from tangodistill.data.sources import DatasetConfig, dataset_fingerprint, load_labelled
from tangodistill.tasks import TASKS
from tangodistill.user_error import UserError

GLUE = Path(__file__).parents[2].parent / "shared/data/glue"
needs_glue = pytest.mark.skipif(not GLUE.is_dir(), reason=f"real data not at {GLUE}")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def write(path: Path, *lines: str, mark: str = "", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((mark + end.join(lines) + end).encode())
    return path


def error_of(source, **settings) -> str:
    with pytest.raises(UserError) as error:
        load_labelled(DatasetConfig(str(source), **settings))
    return str(error.value)


def load(source, **settings):
    return load_labelled(DatasetConfig(str(source), **settings))


# --- GLUE folders


@needs_glue
@pytest.mark.parametrize("source", [GLUE / "SST-2", GLUE])
def test_sst2_folder_or_the_one_above(source):
    data = load(source, task="sst2")
    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 67_349, "validation": 872, "test": 1_821,
    }  # fmt: skip
    assert data.files == {"train": "train.tsv", "validation": "dev.tsv", "test": "test_labelled.tsv"}
    assert data.splits["train"].column_names == ["example_id", "text", "label"]
    assert data.splits["train"][1] == {
        "example_id": "train-1", "text": "contains no wit , only labored gags ", "label": 0,
    }  # fmt: skip
    assert np.bincount(data.splits["test"]["label"][:]).tolist() == [912, 909]
    assert data.splits["test"].features["label"] == Value("int64")


@needs_glue
def test_cola_without_header():
    data = load(GLUE / "CoLA", task="cola")
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 8_551, "validation": 1_043}
    assert data.splits["validation"][0]["text"] == "The sailors rode the breeze clear of the rocks."
    assert data.task.metric == "mcc" and data.splits["validation"][0]["label"] == 1


@needs_glue
def test_qnli_as_published_and_as_an_own_table():
    data = load(GLUE / "QNLI", task="qnli")
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 9_999, "validation": 5_463}
    first = data.splits["validation"][0]
    assert first["text"] == "What came into force after the new constitution was herald?"
    assert first["text_pair"].startswith("As of that day, the new constitution") and first["label"] == 0
    own = load(GLUE / "QNLI", text_columns=["question", "sentence"])
    assert own.task.is_pair and own.task.label_names == ("entailment", "not_entailment")
    assert own.splits["validation"][:] == data.splits["validation"][:]


MRPC_HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"


@pytest.fixture
def mrpc(tmp_path):
    rows = ['1\t10\t11\tHe said "no.\tHe said no.', "0\t12\t13\tOne thing.\tAnother."]
    for name in ("train", "dev", "test"):
        write(tmp_path / f"MRPC/{name}.tsv", MRPC_HEADER, *rows, mark="\ufeff", end="\r\n")
    return tmp_path / "MRPC"


def test_mrpc_with_mark_and_bare_quotes(mrpc):
    data = load(mrpc, task="mrpc")
    assert data.splits["test"][:] == {
        "example_id": ["test-0", "test-1"],
        "text": ['He said "no.', "One thing."],
        "text_pair": ["He said no.", "Another."],
        "label": [1, 0],
    }
    assert data.task.text_columns == ("sentence1", "sentence2") and data.task.metric == "f1"


def test_mrpc_unlabelled_test_gives_way_to_the_authors_file(mrpc):
    write(mrpc / "test.tsv", "index\t#1 ID\t#2 ID\t#1 String\t#2 String", "0\t1\t2\ta\tb")
    assert set(load(mrpc, task="mrpc").splits) == {"train", "validation"}
    shutil.copy(mrpc / "dev.tsv", mrpc / "msr_paraphrase_test.txt")
    assert load(mrpc, task="mrpc").files["test"] == "msr_paraphrase_test.txt"


def test_mrpc_as_its_authors_published_it(mrpc):
    (mrpc / "dev.tsv").unlink()
    for name in ("train", "test"):
        (mrpc / f"{name}.tsv").rename(mrpc / f"msr_paraphrase_{name}.txt")
    data = load(mrpc, task="mrpc")
    assert data.files == {"train": "msr_paraphrase_train.txt", "test": "msr_paraphrase_test.txt"}


def test_unlabelled_test_files_are_no_split(tmp_path):
    write(tmp_path / "SST-2/train.tsv", "sentence\tlabel", "fine\t1", "poor\t0")
    write(tmp_path / "SST-2/test.tsv", "index\tsentence", "0\tso so")
    assert set(load(tmp_path / "SST-2", task="sst2").splits) == {"train"}
    write(tmp_path / "CoLA/train.tsv", "g\t1\t\tFine.", "g\t0\t*\tPoor.")
    write(tmp_path / "CoLA/test.tsv", "index\tsentence", "0\tSo so.")
    assert set(load(tmp_path / "CoLA", task="cola").splits) == {"train"}


def test_labelled_test_of_sst2_by_file(tmp_path):
    write(tmp_path / "SST-2/train.tsv", "sentence\tlabel", "fine\t1", "poor\t0")
    test = write(tmp_path / "elsewhere.csv", "text,label", "good,positive", "bad,negative")
    data = load(tmp_path / "SST-2", task="sst2", test=str(test))
    assert data.splits["test"]["label"][:] == [1, 0] and data.files["test"] == "elsewhere.csv"


def test_glue_folder_without_training_file(tmp_path):
    assert error_of(tmp_path, task="mrpc") == (
        f"{tmp_path}: no train.tsv or msr_paraphrase_train.txt here; give the folder of MRPC."
    )


# --- own tables


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_own_table_of_each_kind(tmp_path, suffix):
    frame = pd.DataFrame({"text": ["naïve, 😀", "b", "", "d"], "label": ["sport", "art", "law", "art"]})
    path = tmp_path / f"own.{suffix}"
    match suffix:
        case "csv" | "tsv":
            frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",", quoting=3 if suffix == "tsv" else 0)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case "parquet":
            frame.to_parquet(path)
    data = load(path)
    assert data.task.label_names == ("art", "law", "sport")
    assert data.splits["train"][:] == {
        "example_id": ["train-0", "train-1", "train-2", "train-3"],
        "text": ["naïve, 😀", "b", "", "d"],
        "label": [2, 0, 1, 0],
    }


def test_named_columns_given_names_and_overrides(tmp_path):
    path = write(tmp_path / "own.csv", "premise,claim,verdict", "a,b,1", "c,d,0")
    data = load(
        path,
        text_columns=["premise", "claim"],
        label_column="verdict",
        label_names=["no", "yes"],
        label_ids=True,
        metric="f1",
        max_length=32,
    )
    assert data.task.label_names == ("no", "yes") and data.splits["train"]["label"][:] == [1, 0]
    assert (data.task.metric, data.task.max_length, data.task.text_columns) == ("f1", 32, ("premise", "claim"))
    assert data.splits["train"]["text_pair"][:] == ["b", "d"]


def test_folder_of_tables_and_separate_files(tmp_path):
    write(tmp_path / "set/train.csv", "text,label", "a,x", "b,y")
    write(tmp_path / "set/dev.tsv", "text\tlabel", "c\ty")
    write(tmp_path / "set/test.jsonl", json.dumps({"text": "d", "label": "x"}))
    data = load(tmp_path / "set")
    assert data.files == {"train": "train.csv", "validation": "dev.tsv", "test": "test.jsonl"}
    assert data.splits["validation"]["label"][:] == [1]
    other = load(tmp_path / "set/train.csv", validation=str(tmp_path / "set/dev.tsv"), test=str(tmp_path / "set"))
    assert {split: rows[:] for split, rows in other.splits.items()} == {s: r[:] for s, r in data.splits.items()}


def test_class_names_in_parquet_are_respected(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["zebra", "ant", "bee"])})
    rows = {"text": ["a", "b"], "label": [0, 1]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").task.label_names == ("zebra", "ant", "bee")
    named = load(tmp_path / "a.parquet", label_names=["ant", "bee", "zebra"])
    assert named.splits["train"]["label"][:] == [2, 0]  # by name, not by the ids in the file


def test_own_ids_are_kept(tmp_path):
    path = write(tmp_path / "own.csv", "example_id,text,label", "k7,a,x", "k9,b,y")
    assert load(path).splits["train"]["example_id"][:] == ["k7", "k9"]
    write(path, "example_id,text,label", "k7,a,x", "k9,b,y", "k7,c,y")
    assert error_of(path) == f"{path}, row 3: example_id 'k7' was used in row 1 already."
    write(path, "example_id,text,label", "k7,a,x", "k9,b,y")
    again = write(tmp_path / "test.csv", "example_id,text,label", "k9,c,x")
    assert error_of(path, test=str(again)) == (
        f"{again}: example_id 'k9' is one of {path} too; ids must differ across the splits."
    )


def test_snippets_package(tmp_path, monkeypatch):
    path = write(tmp_path / "snippets.tsv", "text\tlabel", "fine\tpositive", "poor\tnegative")
    monkeypatch.setattr(sources, "resolve", lambda source: path if source == "package:snippets" else source)
    assert load("package:snippets").task.label_names == ("negative", "positive")
    assert len(dataset_fingerprint(DatasetConfig("package:snippets"))) == 64


# --- bad input


REGRESSION = (
    "the labels are numbers (such as 0.1), which looks like regression; only classification is supported. "
    "If they do name classes, list them in dataset.label_names, in quotes."
)
CORRECT = "correct it, or list all classes in dataset.label_names."


@pytest.mark.parametrize(
    "lines, expected",
    [
        ("body,label a,x", "no column 'text'; it has: body, label. Name the right one in dataset.text_columns."),
        ("text,class a,x", "no column 'label'; it has: text, class. Name the right one in dataset.label_column."),
        ("text,label", "no rows."),
        ("text,label a,x b,x", "every row has the label 'x'; at least two classes are needed."),
        ("text,label a,0.1 b,2", REGRESSION),
    ],
)
def test_bad_table(tmp_path, lines, expected):
    path = write(tmp_path / "own.csv", *lines.split())
    assert error_of(path) == f"{path}: {expected}"


@pytest.mark.parametrize(
    "row, expected",
    [
        ({"label": "x"}, "no text in column 'text'; an empty one would do."),
        ({"text": 5, "label": "x"}, "column 'text' holds a int (5), not a text."),
        ({"text": "\ud800", "label": "x"}, "half a character (a lone surrogate) in column 'text'."),
        ({"text": "a", "label": ""}, "no label; every row needs one."),
        ({"text": "a", "label": "z"}, f"label 'z' is not in the label set (x, y); {CORRECT}"),
        (
            {"text": "a", "label": [0, 2]},
            "the label is a list ([0, 2]); multi-label data is not supported, give one label per row.",
        ),
    ],
)
def test_bad_row_is_named(tmp_path, row, expected):
    path = write(tmp_path / "own.jsonl", json.dumps({"text": "", "label": "y"}), json.dumps(row))
    assert error_of(path, label_names=["x", "y"]) == f"{path}, row 2: {expected}"


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"text_columns": ["a", "b", "c"]}, "dataset.text_columns names 3 columns; give one, or two for pairs."),
        ({"label_names": ["x", "x"]}, "dataset.label_names names the class 'x' twice."),
        ({"metric": "auc"}, "dataset.metric is 'auc'; allowed: accuracy, f1, mcc."),
        ({"max_length": 2}, "dataset.max_length is 2; at least 8 tokens are needed."),
        ({"task": "sst"}, f"Unknown task 'sst'; did you mean 'sst2'? Known tasks: {', '.join(sorted(TASKS))}."),
    ],
)
def test_bad_settings(tmp_path, settings, expected):
    assert error_of(write(tmp_path / "own.csv", "text,label", "a,x", "b,y"), **settings) == expected


def test_label_of_another_split_must_be_known(tmp_path):
    path = write(tmp_path / "own.csv", "text,label", "a,x", "b,y")
    test = write(tmp_path / "test.csv", "text,label", "c,0")
    assert error_of(path, test=str(test)) == (
        f"{test}, row 1: label '0' is not in the label set (x, y); name the classes as the file does, or, if its "
        "labels are ids, set dataset.label_ids to true."
    )


def test_missing_and_ambiguous_files(tmp_path):
    assert (
        error_of("no/such/folder/here")
        == "no/such/folder/here: no such file or folder. Give a table or a folder (of `run`: --data FILE)."
    )
    assert (
        error_of("reviews.csv")
        == "reviews.csv: no such file or folder. Give a table or a folder (of `run`: --data FILE)."
    )
    assert error_of(tmp_path) == (
        f"{tmp_path}: no training table here; expected train with one of .csv, .tsv, .jsonl, .parquet."
    )
    for name in ("train.csv", "train.tsv"):
        write(tmp_path / name, "text,label", "a,x")
    assert error_of(tmp_path) == f"{tmp_path}: both train.csv and train.tsv could be the train split; keep one."


# --- the hub


def hub_set(**splits) -> DatasetDict:
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["negative", "positive"])})
    return DatasetDict({split: Dataset.from_dict(rows, features=features) for split, rows in splits.items()})


def test_hub_set_with_the_tasks_configuration(monkeypatch):
    asked = []
    rows = {"sentence": ["fine", "poor"], "label": [1, 0]}
    hidden = {"sentence": ["so so"], "label": [-1]}
    labelled = DatasetDict({"test": Dataset.from_dict({"text": ["good"], "label": [1], "label_text": ["positive"]})})

    def fake(name, configuration):
        asked.append((name, configuration))
        return labelled if name == "SetFit/sst2" else hub_set(train=rows, validation=rows, test=hidden)

    monkeypatch.setattr(hub, "load_dataset", fake)
    monkeypatch.setattr(sources, "hub_revision", lambda name: "c0ffee")
    assert set(load("nyu-mll/glue", task="sst2").splits) == {"train", "validation"}
    data = load("nyu-mll/glue", task="sst2", test="SetFit/sst2")
    assert asked[-2:] == [("nyu-mll/glue", "sst2"), ("SetFit/sst2", None)]
    assert data.splits["test"][:] == {"example_id": ["test-0"], "text": ["good"], "label": [1]}
    assert data.files["train"] == "nyu-mll/glue (sst2), train" and data.files["test"] == "SetFit/sst2, test"


def test_unreachable_hub_says_what_works_without(monkeypatch):
    def unreachable(name, configuration):
        raise ConnectionError(f"Couldn't reach '{name}' on the Hub")

    monkeypatch.setattr(hub, "load_dataset", unreachable)
    assert error_of("nyu-mll/glue", task="sst2") == (
        "'nyu-mll/glue' is neither a file or folder here nor could it be fetched from the Hugging Face hub "
        "(Couldn't reach 'nyu-mll/glue' on the Hub). Without the hub, give dataset.source (--data) a local path: "
        "a GLUE folder, a CSV, TSV, JSONL or Parquet file, a folder of train, validation and test tables, "
        "or for squad the folder of its JSON files."
    )


def test_revision_without_a_network_is_that_of_the_fetched_copy(tmp_path, monkeypatch):
    def unreachable(self, name):
        raise ConnectionError("offline")

    monkeypatch.setattr(hub.HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(UserError, match="neither a file or folder here"):
        dataset_fingerprint(DatasetConfig("SetFit/sst2"))
    write(tmp_path / "SetFit___sst2/default/0.0.0/c0ffee/dataset_info.json", "{}")
    assert hub.hub_revision("SetFit/sst2") == "c0ffee"
    assert len(dataset_fingerprint(DatasetConfig("SetFit/sst2"))) == 64


# --- fingerprint


def test_fingerprint_follows_content_not_place(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder / "train.csv", "text,label", "a,x", "b,y")
    first = dataset_fingerprint(DatasetConfig(str(tmp_path / "a")))
    assert first == dataset_fingerprint(DatasetConfig(str(tmp_path / "b")))
    assert first == load(tmp_path / "a").fingerprint
    test = write(tmp_path / "b/test.csv", "text,label", "c,x")
    second = dataset_fingerprint(DatasetConfig(str(tmp_path / "b")))
    assert second != first
    assert second == dataset_fingerprint(DatasetConfig(str(tmp_path / "a"), test=str(test)))
    write(test, "text,label", "c,y")
    assert dataset_fingerprint(DatasetConfig(str(tmp_path / "b"))) != second


# --- the class that F1 is of


def imbalanced(path: Path, rare: str, common: str) -> Path:
    labels = [rare] * 3 + [common] * 9
    return write(path, "text,label", *(f"text {row},{label}" for row, label in enumerate(labels)))


@pytest.mark.parametrize(("rare", "common"), [("fraud", "legit"), ("spam", "ham")])
def test_f1_is_of_the_rarer_class_unless_another_is_named(rare, common, tmp_path):
    source = imbalanced(tmp_path / "a.csv", rare, common)
    task = load(source, metric="f1").task
    assert (task.positive, task.metric_title) == (rare, f"F1 of {rare}")
    assert task.label_names[task.positive_id] == rare
    task = load(source, metric="f1", positive=common, label_names=[common, rare]).task
    assert (task.positive_id, task.metric_title) == (0, f"F1 of {common}")


def test_of_two_classes_alike_and_of_published_tasks_f1_is_of_the_second(tmp_path):
    even = write(tmp_path / "a.csv", "text,label", "one,no", "two,yes")
    assert load(even).task.positive == "yes" and load(even, label_names=["yes", "no"]).task.positive == "no"
    skewed = write(tmp_path / "mrpc.csv", "sentence1,sentence2,label", "a,b,not_equivalent", "c,d,equivalent",
                   "e,f,equivalent")  # fmt: skip
    assert load(skewed, task="mrpc").task.metric_title == "F1 of equivalent"


def test_a_positive_class_that_cannot_be_is_refused(tmp_path):
    two = write(tmp_path / "two.csv", "text,label", "one,no", "two,yes")
    three = write(tmp_path / "three.csv", "text,label", "one,no", "two,yes", "three,maybe")
    assert error_of(two, positive="Yes") == "dataset.positive is 'Yes'; allowed: no, yes."
    assert error_of(three, positive="yes") == (
        "dataset.positive is 'yes', but there are 3 classes, whose F1 is the mean over the classes (macro F1); "
        "leave it out."
    )
    assert load(three, metric="f1").task.metric_title == "macro F1"
    assert "dataset.positive is set, but squad has" in error_of(tmp_path, task="squad", positive="yes")


# --- labels are text


def test_names_in_another_order_than_the_ids_they_look_like_are_not_swapped(tmp_path):
    source = write(tmp_path / "a.csv", "text,label", "warm,1.0", "cold,0.0", "warmer,1.0")
    data = load(source, label_names=["1.0", "0.0"])
    assert data.task.label_names == ("1.0", "0.0") and data.splits["train"]["label"][:] == [0, 1, 0]
    assert load(source).task.label_names == ("0.0", "1.0")


def test_ids_of_named_classes_are_asked_for(tmp_path):
    source = write(tmp_path / "a.csv", "text,label", "warm,1", "cold,0")
    assert error_of(source, label_names=["cold", "warm"]) == (
        f"{source}, row 1: label '1' is not in the label set (cold, warm); name the classes as the file does, or, "
        "if its labels are ids, set dataset.label_ids to true."
    )
    data = load(source, label_names=["cold", "warm"], label_ids=True)
    assert data.task.label_names == ("cold", "warm") and data.splits["train"]["label"][:] == [1, 0]
    assert error_of(source, label_ids=True) == (
        "dataset.label_ids says that labels are ids; name their classes in dataset.label_names."
    )


def test_a_published_tasks_labels_are_its_names_or_ids(tmp_path):
    for label in ("1", "positive", "1.0"):
        source = write(tmp_path / "a.csv", "sentence,label", f"good,{label}", f"bad,{label.replace('1', '0', 1)}"
                       if label != "positive" else "bad,negative")  # fmt: skip
        assert load(source, task="sst2").splits["train"]["label"][:] == [1, 0]


def test_a_blank_label_names_file_and_row(tmp_path):
    source = write(tmp_path / "a.csv", "text,label", "one,cold", "two,\u00a0", "three,warm")
    assert error_of(source) == f"{source}, row 2: no label; every row needs one."


def test_a_name_in_brackets_is_a_name(tmp_path):
    source = write(tmp_path / "a.csv", "text,label", "one,[cold]", "two,[warm]")
    assert load(source).task.label_names == ("[cold]", "[warm]")


# --- forms of files


def test_separator_and_encoding_of_every_file(tmp_path):
    rows = "text;label\n{};{}\n{};{}\n"
    for name, words in (("train", ("très", "bon", "pas", "mal")), ("test", ("où", "bon", "là", "mal"))):
        (tmp_path / f"{name}.csv").write_bytes(rows.format(*words).encode("cp1252"))
    data = load(tmp_path, separator=";", encoding="cp1252")
    assert [data.splits[split]["text"][:] for split in ("train", "test")] == [["très", "pas"], ["où", "là"]]
    write(tmp_path / "b.csv", "text\tlabel", "a\tx", "b\ty")
    for tab in ("tab", "\t", "\\t"):
        assert load(tmp_path / "b.csv", separator=tab).splits["train"]["text"][:] == ["a", "b"]
    wide = error_of(tmp_path / "b.csv", separator="::")
    assert wide == "dataset.separator is '::'; give one character, such as ; or tab."
    assert error_of(tmp_path / "b.csv") == (
        f"{tmp_path / 'b.csv'}: no column 'label'; it has: text\tlabel. "
        "The header looks separated by a tab: set dataset.separator to tab."
    )


def test_a_map_column_beside_text_and_label_is_left_alone(tmp_path):
    table = pa.table(
        {
            "text": ["a", "b"],
            "label": ["x", "y"],
            "meta": pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").splits["train"][:] == {
        "example_id": ["train-0", "train-1"], "text": ["a", "b"], "label": [0, 1],
    }  # fmt: skip

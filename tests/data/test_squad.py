"""SQuAD's files and hub set in one shape, its roles by article, and each mistake named with its place."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, Features, List, Value
from span_tokenizers import SQUAD

from tangodistill.data import hub, sources
from tangodistill.data.leaks import normalise
from tangodistill.data.sources import DatasetConfig, dataset_fingerprint, load_labelled
from tangodistill.data.splits import HELD_OUT, Roles, assign_roles, load_roles
from tangodistill.user_error import UserError

needs_squad = pytest.mark.skipif(not SQUAD.is_dir(), reason=f"real data not at {SQUAD}")
ROLES = ("train", *HELD_OUT)


def question(key: str, answer: str = "Nile", start: int = 4) -> dict:
    return {"id": key, "question": f"What is {key}?", "answers": [{"text": answer, "answer_start": start}]}


def article(name: str, questions: int, paragraphs: int = 2) -> dict:
    return {
        "title": name,
        "paragraphs": [
            {
                "context": f"The Nile of {name}, part {part}.",
                "qas": [question(f"{name}-{number}") for number in range(part, questions, paragraphs)],
            }
            for part in range(paragraphs)
        ],
    }


def write(path: Path, *articles: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


def load(source, **settings):
    return load_labelled(DatasetConfig(str(source), task="squad", **settings))


def error_of(source, **settings) -> str:
    with pytest.raises(UserError) as error:
        load(source, **settings)
    return str(error.value)


# --- sources

HUB_ROWS = [
    {"id": f"q{i}", "title": "Nile", "context": "The Nile is long.", "question": "What is long?",
     "answers": {"text": ["Nile", "The Nile"], "answer_start": [4, 0]}}
    for i in range(3)
]  # fmt: skip


def hub_table(rows: list[dict]) -> pa.Table:
    starts = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
    columns = [(name, pa.string()) for name in ("id", "title", "context", "question")]
    return pa.Table.from_pylist(rows, pa.schema([*columns, ("answers", starts)]))


def check_hub_rows(rows: Dataset, count: int) -> None:
    assert len(rows) == count and rows[0] == {
        "example_id": "q0", "text": "What is long?", "text_pair": "The Nile is long.",
        "answers": ["Nile", "The Nile"], "answer_starts": [4, 0], "article": "Nile",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["train.parquet", "mine.jsonl", "mine.json"])
def test_the_hubs_rows_as_a_file(name, tmp_path):
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(hub_table(HUB_ROWS), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in HUB_ROWS))
    data = load(path)
    check_hub_rows(data.splits["train"], 3)
    assert data.files == {"train": name}


def test_the_hubs_rows_as_a_folder_of_parts(tmp_path):
    for part, rows in enumerate((HUB_ROWS[:1], HUB_ROWS[1:])):
        pq.write_table(hub_table(rows), tmp_path / f"train-0000{part}-of-00002.parquet")
    held_out = [{**row, "id": f"v{i}"} for i, row in enumerate(HUB_ROWS)]
    pq.write_table(hub_table(held_out), tmp_path / "validation-00000-of-00001.parquet")
    data = load(tmp_path)
    check_hub_rows(data.splits["train"], 3)
    assert data.files == {"train": "train-*.parquet", "validation": "validation-00000-of-00001.parquet"}
    assert data.splits["validation"]["example_id"][:] == ["v0", "v1", "v2"]


def test_answers_as_a_list_of_objects_and_whole_numbers_as_ids(tmp_path):
    rows = [{**row, "id": i, "answers": [{"text": "Nile", "answer_start": 4}]} for i, row in enumerate(HUB_ROWS)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert load(path).splits["train"]["answers"][:] == [["Nile"]] * 3
    assert load(path).splits["train"]["example_id"][:] == ["0", "1", "2"]


def test_a_table_of_another_kind_or_without_a_column_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("id\n")
    assert error_of(tmp_path / "a.csv") == (
        f"{tmp_path / 'a.csv'}: squad is read from its JSON files, or from JSONL or Parquet with the columns id, "
        "title, context, question, answers, not from '.csv'."
    )
    pq.write_table(hub_table(HUB_ROWS).drop_columns("answers"), tmp_path / "b.parquet")
    assert error_of(tmp_path / "b.parquet").startswith(f"{tmp_path / 'b.parquet'}: no column 'answers'; it has: id, ")


@needs_squad
def test_the_published_folder():
    data = load(SQUAD)
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 4_370, "validation": 1_190}
    assert data.files == {"train": "train-v1.1.json", "validation": "dev-v1.1.json"}
    row = data.splits["validation"][0]
    assert list(row) == ["example_id", "text", "text_pair", "answers", "answer_starts", "article"]
    assert row["article"] == "Super_Bowl_50"
    start = row["answer_starts"][0]
    assert row["text_pair"][start : start + len(row["answers"][0])] == row["answers"][0]
    assert (data.task.kind, data.task.metric) == ("spans", "f1")


def test_either_spelling_or_a_single_file(tmp_path):
    write(tmp_path / "train.json", article("a", 4))
    write(tmp_path / "dev.json", article("b", 2))
    data = load(tmp_path, metric="em", max_length=256)
    assert data.files == {"train": "train.json", "validation": "dev.json"}
    assert (data.task.metric, data.task.max_length) == ("em", 256)
    alone = load(tmp_path / "train.json", validation=str(tmp_path / "dev.json"))
    assert {split: rows[:] for split, rows in alone.splits.items()} == {s: r[:] for s, r in data.splits.items()}
    first = dataset_fingerprint(DatasetConfig(str(tmp_path), "squad"))
    write(tmp_path / "dev.json", article("c", 2))
    assert dataset_fingerprint(DatasetConfig(str(tmp_path), "squad")) != first


def test_own_files_may_lack_titles_and_count_their_ids(tmp_path):
    untitled = {"paragraphs": [{"context": "the Nile", "qas": [question(7), question(8)]}]}
    rows = load(write(tmp_path / "own.json", untitled)).splits["train"]
    assert rows["article"][:] == ["data[0]"] * 2 and rows["example_id"][:] == ["7", "8"]


def hub_rows(**changed) -> Dataset:
    row = {
        "id": "q",
        "title": "t",
        "context": "the Nile",
        "question": "?",
        "answers": {"text": ["Nile"], "answer_start": [4]},
    }
    features = Features(
        {name: Value("string") for name in ("id", "title", "context", "question")}
        | {"answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))}}
    )
    return Dataset.from_list([row | changed], features=features)


def test_the_hub_set(monkeypatch):
    asked = []

    def fake(name, configuration):
        asked.append((name, configuration))
        return DatasetDict({"train": hub_rows(), "validation": hub_rows(id="r")})

    monkeypatch.setattr(hub, "load_dataset", fake)
    monkeypatch.setattr(sources, "hub_revision", lambda name: "c0ffee")
    data = load("rajpurkar/squad")
    assert asked == [("rajpurkar/squad", "plain_text")]
    assert data.splits["train"][:] == {
        "example_id": ["q"], "text": ["?"], "text_pair": ["the Nile"], "answers": [["Nile"]], "answer_starts": [[4]],
        "article": ["t"],
    }  # fmt: skip
    unanswered = DatasetDict({"train": hub_rows(answers={"text": [], "answer_start": []})})
    monkeypatch.setattr(hub, "load_dataset", lambda *_: unanswered)
    assert error_of("rajpurkar/squad_v2").startswith("rajpurkar/squad_v2, train, row 1: a question without an answer")
    monkeypatch.setattr(hub, "load_dataset", lambda *_: DatasetDict({"train": hub_rows().remove_columns("title")}))
    assert error_of("some/set") == (
        "some/set, train: no column 'title'; it has: id, context, question, answers. "
        "The columns of SQuAD are needed: id, title, context, question, answers."
    )


def test_unreachable_hub_names_the_folder(monkeypatch):
    def unreachable(name, configuration):
        raise ConnectionError("offline")

    monkeypatch.setattr(hub, "load_dataset", unreachable)
    told = error_of("rajpurkar/squad")
    assert told.startswith(
        "'rajpurkar/squad' is neither a file or folder here nor could it be fetched from the Hugging Face hub "
        "(offline). Without the hub, give dataset.source (--data) a local path: "
    )
    assert told.endswith("or for squad the folder of its JSON files.")


# --- bad input


def changed(**parts) -> list[dict]:
    """An article, and one whose second question has other parts; None takes one away."""
    articles = [article("a", 1, 1), article("b", 2, 1)]
    asked = articles[1]["paragraphs"][0]["qas"][1]
    asked.update(parts)
    for key in [key for key, part in parts.items() if part is None]:
        del asked[key]
    return articles


PLACE = "data[1].paragraphs[0].qas[1]"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"question": None}, f"{PLACE}: no key 'question'; files of SQuAD 1.1 have it."),
        ({"question": 5}, f"{PLACE}: question is 5, a int; it must be a string."),
        ({"question": "\ud800"}, f"{PLACE}: half a character (a lone surrogate) in question."),
        ({"answers": "Nile"}, f"{PLACE}.answers: expected a list, found str."),
        ({"answers": [{"text": "Nile"}]}, f"{PLACE}.answers[0]: no key 'answer_start'; files of SQuAD 1.1 have it."),
        (
            {"answers": [{"text": "Nile", "answer_start": 5}]},
            f"{PLACE}: the answer 'Nile' is not in its context at answer_start 5, which reads 'ile '; "
            "count its characters from 0.",
        ),
        ({"id": "a-0"}, f"{PLACE}: the id 'a-0' was used in data[0].paragraphs[0].qas[0] already."),
    ],
)
def test_a_bad_question_is_named_by_its_place(tmp_path, parts, expected):
    path = write(tmp_path / "train.json", *changed(**parts))
    assert error_of(path) == f"{path}, {expected}"


@pytest.mark.parametrize("parts", [{"answers": []}, {"is_impossible": True}])
def test_unanswerable_questions_are_not_supported(tmp_path, parts):
    path = write(tmp_path / "train.json", *changed(**parts))
    assert error_of(path) == (
        f"{path}, {PLACE}: a question without an answer, as SQuAD 2 has them, is not supported; leave it out, "
        "or give SQuAD 1.1."
    )


@pytest.mark.parametrize("start", [-4, "4", 1.5, 10**6])
def test_an_offset_must_be_one(tmp_path, start):
    path = write(tmp_path / "train.json", *changed(answers=[{"text": "Nile", "answer_start": start}]))
    assert f"the answer 'Nile' is not in its context at answer_start {start}" in error_of(path)


def test_a_file_of_another_form(tmp_path):
    path = tmp_path / "train.json"
    path.write_text('{"data": [\n{"title": ')
    assert error_of(path).startswith(f"{path}, line 2: not valid JSON (")
    path.write_text("[]")
    assert error_of(path) == f"{path}, top level: expected an object with the key 'data', found list."
    path.write_text('{"data": ["text"]}')
    assert error_of(path) == f"{path}, data[0]: expected an object with the key 'paragraphs', found str."
    path.write_text('{"data": []}')
    assert error_of(path) == f"{path}: no questions."
    path.write_bytes(b"\xff\x80")
    assert error_of(path).startswith(f"{path}: not UTF-8 text (byte 0); save it as UTF-8, or set dataset.encoding ")
    assert error_of(tmp_path / "no.json").startswith(f"{tmp_path}/no.json: no such file or folder.")
    path.unlink()
    wanted = f"{tmp_path}: no train-v1.1.json or train.json here, but %s; give the folder of SQuAD 1.1, or "
    wanted += "one with the hub's train.parquet or train.jsonl."
    assert error_of(tmp_path) == wanted % "no JSON files"
    for name in ("train-v2.0.json", "dev-v2.0.json"):
        (tmp_path / name).write_text('{"version": "v2.0", "data": []}')
    assert error_of(tmp_path) == wanted % "dev-v2.0.json, train-v2.0.json"


def test_settings_of_classification_are_refused(tmp_path):
    path = write(tmp_path / "train.json", article("a", 4))
    assert error_of(path, label_names=["yes", "no"]) == (
        "dataset.label_names is set, but squad has columns of its own, and spans in place of labels; leave it out."
    )
    assert error_of(path, metric="accuracy") == "dataset.metric is 'accuracy'; allowed: f1, em."


def test_ids_of_two_splits_must_differ(tmp_path):
    write(tmp_path / "train.json", article("a", 4))
    write(tmp_path / "dev.json", article("a", 4))
    assert "example_id 'a-0' is one of" in error_of(tmp_path)


# --- roles


def assert_apart(roles: Roles) -> None:
    """No context in two roles."""
    contexts = [{normalise(text) for text in getattr(roles, role)["text_pair"]} for role in ROLES]
    assert sum(map(len, contexts)) == len(set.union(*contexts))


def articles_of(roles: Roles, role: str) -> set[str]:
    return set(getattr(roles, role)["article"])


def test_slices_are_whole_articles_near_the_wanted_size(tmp_path):
    write(tmp_path / "train.json", *(article(f"a{number}", 5 + 7 * number % 23) for number in range(60)))
    write(tmp_path / "dev.json", article("dev", 9))
    data = load(tmp_path)
    roles = assign_roles(data)
    wanted = round(0.1 * len(data.splits["train"]))
    for role in ("selection", "calibration"):
        assert wanted - 5 <= len(getattr(roles, role)) <= wanted
    assert roles.files["report"] == "dev.json, 9 rows" and roles.warnings == []
    assert sum(len(getattr(roles, role)) for role in ROLES[:3]) == len(data.splits["train"])
    assert sum(len(articles_of(roles, role)) for role in ROLES[:3]) == 60
    assert_apart(roles)
    assert assign_roles(data).selection["example_id"][:] == roles.selection["example_id"][:]
    assert assign_roles(data, 1).selection["example_id"][:] != roles.selection["example_id"][:]


def test_questions_are_independent_by_article_however_few_there_are(tmp_path):
    write(tmp_path / "train.json", *(article(f"a{number}", 5 + 7 * number % 23) for number in range(60)))
    write(tmp_path / "dev.json", article("dev", 9), article("other", 4))
    roles = load_roles(DatasetConfig(str(tmp_path), "squad"))
    for role in ROLES:
        articles = getattr(roles, role)["article"][:]
        groups = roles.groups(role).tolist()
        assert len(set(groups)) == len(set(articles)) == len(set(zip(groups, articles, strict=True)))


def test_a_slice_has_at_most_2000_questions(tmp_path):
    path = write(tmp_path / "train.json", *(article(f"a{number}", 100) for number in range(250)))
    roles = load_roles(DatasetConfig(str(path), "squad"))
    assert [len(getattr(roles, role)) for role in ROLES] == [19_000, 2_000, 2_000, 2_000]


def test_a_context_of_a_held_out_role_is_not_trained_on(tmp_path):
    shared = article("dev", 4, paragraphs=1)["paragraphs"][0]
    leaking = {**shared, "context": shared["context"].upper().replace("NILE", "Nile"), "qas": [question("other")]}
    train = [article(f"a{number}", 10) for number in range(30)]
    train[3]["paragraphs"].append(leaking)
    write(tmp_path / "train.json", *train)
    write(tmp_path / "dev.json", {"title": "dev", "paragraphs": [shared]})
    roles = load_roles(DatasetConfig(str(tmp_path), "squad"))
    assert roles.dropped == {"selection": 0, "calibration": 0, "report": 1}
    assert_apart(roles)
    guard = roles.leak_guard()
    assert guard.leaks(roles.report["text"], roles.report["text_pair"]).all()
    assert not guard.leaks("What is other?", "The Nile")


def test_articles_that_share_a_context_stay_together(tmp_path):
    train = [article(f"a{number}", 10) for number in range(30)]
    for number in range(0, 30, 2):  # neighbours quote the same paragraph
        train[number]["paragraphs"].append({"context": f"The Nile {number}", "qas": [question(f"x{number}")]})
        train[number + 1]["paragraphs"].append({"context": f"the Nile, {number}.", "qas": [question(f"y{number}")]})
    roles = load_roles(DatasetConfig(str(write(tmp_path / "train.json", *train)), "squad"))
    assert_apart(roles)
    for role in ROLES:
        names = articles_of(roles, role)
        assert {f"a{int(name[1:]) ^ 1}" for name in names} == names


def test_few_articles_are_cut_by_paragraph_with_a_warning(tmp_path):
    path = write(tmp_path / "train.json", article("a", 200, paragraphs=40))
    with pytest.warns(UserWarning, match="train.json has fewer than 10 articles \\(1\\): slices are cut by paragraph"):
        roles = load_roles(DatasetConfig(str(path), "squad"))
    assert [len(getattr(roles, role)) for role in ROLES] == [140, 20, 20, 20]
    assert_apart(roles)


@needs_squad
def test_squad_roles():
    roles = assign_roles(load(SQUAD))  # of the one article in this part of the training file
    assert [len(getattr(roles, role)) for role in ROLES] == [3_496, 437, 437, 1_190]
    assert_apart(roles)

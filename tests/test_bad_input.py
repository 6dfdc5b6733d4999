"""Bad input through the command line: one message that says where, what and what to do; exit code 2; no traceback."""

import csv
import shutil

import pytest
from small_run import SmallRun

from tangodistill import CascadePredictor
from tangodistill.cli import main as cli

ODD = [
    *("", "   ", "\0", "a\0b bad", "🎬🎬 lovely", "فيلم جميل lovely", "\u200fעברית\u200f bad"),
    *("bad " * 25_000, "x" * 100_000),
    *('he said "good", "fine"', "two\nlines bad", '"', "\u200b", "line\u2028separator bad", "☃" * 50),
]  # fmt: skip
"""Empty texts, NUL bytes, emoji, right to left, 100,000 characters, quotes, line ends, spaces of no width."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return SmallRun(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def finished(small):
    """A run over a table of odd texts, written with a byte-order mark, quotes and line ends of two kinds."""
    with small.table.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    rows += [[odd, ("negative", "positive")[i % 2]] for i, odd in enumerate(ODD * 12)]
    path = small.folder / "odd.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        for end, part in (("\r\n", [header, *rows[::2]]), ("\n", rows[1::2])):
            csv.writer(file, lineterminator=end).writerows(part)
    out = small.folder / "finished"
    assert cli.main(small.arguments(out, data=path)) == 0
    return out


# --- tables


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", "body,label\na,x\n", ": no column 'text'; it has: body, label. Name the right one in text_columns"),
        ("a.csv", "text,label\n", ": no rows."),
        ("a.csv", "text,label\na,x\nb,x\n", ": every row has the label 'x'; at least two classes are needed."),
        ("a.csv", "text,label\na,x\nb,\n", ", row 2: no label; every row needs one."),
        ("a.csv", "text,label\na,x\nb,y,z\n", ", line 3: 3 fields, but the header has 2."),
        ("a.csv", 'text,label\na,x\n"b,y\n', ", line 3: broken quoting (unexpected end of data)."),
        ("a.csv", "example_id,text,label\nk,a,x\nk,b,y\n", ", row 2: example_id 'k' was used in row 1 already."),
        ("a.csv", "text,label\nfílm,x\n", ": not UTF-8 text (byte 12); save it as UTF-8, or set encoding (--set"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b', ", line 2: not valid JSON (Unterminated string"),
        ("a.jsonl", '{"text": 5, "label": "x"}\n', ", row 1: column 'text' holds a int (5), not a text."),
        ("a.parquet", "PAR1 cut off", ": not a readable Parquet file ("),
        ("a.xlsx", "", ": cannot read a table of the kind '.xlsx'; allowed: .csv, .tsv, .jsonl, .parquet."),
    ],
)  # fmt: skip
def test_a_bad_table(small, refused, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content, encoding="latin-1")
    assert refused(*small.arguments(tmp_path / "out", "--until=teacher", data=path)).startswith(f"{path}{message}")


def test_a_label_that_is_not_in_the_label_set(small, refused, tmp_path):
    assert refused(*small.arguments(tmp_path / "out", "--set=data.label_names=[negative, pos]")) == (
        f"{small.table}, row 2: label 'positive' is not in the label set (negative, pos); correct it, or list all "
        "classes in label_names (--set data.label_names=...)."
    )


def test_too_few_rows(small, refused, tmp_path):
    (tmp_path / "few.csv").write_text("text,label\na,x\nb,y\n")
    assert refused(*small.arguments(tmp_path / "out", data=tmp_path / "few.csv")) == (
        "few.csv: 2 rows cannot be cut into roles (too few, or tied together by shared texts); "
        "give more rows, or dataset.validation and dataset.test."
    )


@pytest.mark.parametrize("data", ["nowhere.csv", "no/such/folder"])
def test_a_missing_source(small, refused, tmp_path, data):
    assert (
        refused(*small.arguments(tmp_path / "out", data=data))
        == f"{data}: no such file or folder. Give a table or a folder (of `run`: --data FILE)."
    )


def test_an_unreachable_hub_names_the_local_ways(small, refused, tmp_path):
    told = refused(*small.arguments(tmp_path / "out", data="someone/some-data"))
    assert told.startswith("'someone/some-data' is neither a file or folder here nor could it be fetched from the")
    assert "Without the hub, give dataset.source (--data) a local path: a GLUE folder, a CSV, TSV, JSONL" in told
    told = refused(*small.arguments(tmp_path / "out", teacher="someone/some-model"))
    assert told.startswith("no sequence classifier could be loaded from 'someone/some-model': ")
    assert "Give a folder with config.json and model.safetensors, or a hub name while" in told


def test_an_unknown_task(small, refused, tmp_path):
    told = refused(*small.arguments(tmp_path / "out", "--set=data.task=sst"))
    assert told == "Unknown task 'sst'; did you mean 'sst2'? Known tasks: cola, custom, mrpc, qnli, squad, sst2."


def test_odd_texts_go_all_the_way(finished):
    """And are answered beside the others; what is no text at all is refused with its row."""
    answers = CascadePredictor.from_pretrained(finished / "cascade").predict(ODD)
    assert len(answers) == len(ODD) and {answer.label for answer in answers} <= {"negative", "positive"}
    assert (finished / "report" / "report.html").is_file()


# --- keys


@pytest.mark.parametrize(
    "setting, message",
    [
        ("teacher.model.pretraned=", "Stage teacher: Unknown key 'pretraned' for TeacherModule. Did you mean "),
        ("techer.model.lr=1", "Recipe custom has no stage 'techer'. Did you mean 'teacher'? Its stages: teacher, "),
        ("label.batch_sise=1", "Stage label: Unknown key 'batch_sise'. Did you mean 'batch_size'?"),
        ("student.model.class_path=StudntModule", "Stage student: model.class_path: no class 'StudntModule'. Did you"),
        ("student.model.lr=fast", "Stage student: model.lr: Expected a float. Got value: fast"),
        ("data.text_columns=text", "Stage teacher: data.dataset.text_columns: expected list[str] or null, found text"),
        ("student.model.lr=[1", "--set student.model.lr=[1: '[1' is not valid YAML (expected ',' or ']', but got"),
    ],
)  # fmt: skip
def test_a_wrong_key_stops_the_run_before_its_first_stage(small, refused, tmp_path, setting, message):
    assert refused(*small.arguments(tmp_path / "out", f"--set={setting}")).startswith(message)
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.parametrize("content", ["model: [", "- 1", "\0"])
@pytest.mark.parametrize("verb", ["fit", "augment"])
def test_a_stage_file_that_is_none(refused, tmp_path, verb, content):
    (tmp_path / "stage.yaml").write_text(content)
    told = refused(verb, "--config", tmp_path / "stage.yaml")
    assert told.startswith(f"{tmp_path / 'stage.yaml'} ") and ("not valid YAML" in told or "found list" in told)


@pytest.mark.parametrize("content", [None, b"junk", b"PK\3\4 cut off"])
def test_a_checkpoint_that_is_none(small, finished, refused, tmp_path, content):
    checkpoint = tmp_path / "last.ckpt"
    if content is not None:
        checkpoint.write_bytes(content)
    stage = ["--config", finished / "teacher" / "config.yaml", "--trainer.default_root_dir", tmp_path]
    assert refused("fit", *stage, "--ckpt_path", checkpoint) == (
        f"ckpt_path: {checkpoint} is missing, or not a whole checkpoint. Give one that `fit` wrote "
        "(checkpoints/last.ckpt), or leave it out to begin anew."
    )


# --- models and vectors


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("model.safetensors", b"\x10\0\0\0\0\0\0\0{", "{folder}/model.safetensors is cut off or damaged (Error while "),
        ("config.json", b"{", "no sequence classifier could be loaded from '{folder}': It looks like the config file "),
        ("tokenizer.json", b"{", "{folder}: its tokenizer cannot be read ("),
    ],
)  # fmt: skip
def test_a_damaged_teacher(small, refused, tmp_path, name, content, message):
    folder = shutil.copytree(small.encoder, tmp_path / "teacher")
    (folder / name).write_bytes(content)
    told = refused(*small.arguments(tmp_path / "out", "--until=teacher", teacher=folder))
    assert told.startswith(message.format(folder=folder))


@pytest.fixture
def changed(small, finished, refused, tmp_path):
    """The message of a stage of the finished run that is made anew, once something was changed in the run's folder."""

    def changed(stage, change, *more):
        out = shutil.copytree(finished, tmp_path / "run")
        change(out)
        data = small.folder / "odd.csv"
        told = refused(*small.arguments(out, f"--from={stage}", f"--force={stage}", *more, data=data))
        assert (out / stage / "stage.json").is_file()  # the old result is still there
        return told.replace(str(out), "OUT")

    return changed


def cut(name):
    """Leaves half of a file, in a file of its own: weights are links."""

    def cut(out):
        content = (out / name).read_bytes()
        (out / name).unlink()
        (out / name).write_bytes(content[: len(content) // 2])

    return cut


@pytest.mark.parametrize(
    "stage, name, message",
    [
        ("label", "teacher/model.safetensors", "OUT/teacher/model.safetensors is cut off or damaged (Error while"),
        ("label", "augment/data-00000-of-00001.arrow", "OUT/augment: a file of this transfer set is gone or damaged ("),
        ("student", "label/manifest.json", "OUT/label: a file of this transfer set is gone or damaged ("),
        ("cascade", "student/model.safetensors", "OUT/student/model.safetensors is cut off or damaged ("),
        ("cascade", "teacher/config.json", "OUT/teacher/config.json is not valid JSON ("),
        ("report", "cascade/summary.json", "OUT/cascade holds a broken file ("),
        ("report", "cascade/operating_points.parquet", "OUT/cascade holds a broken file ("),
        ("cascade", "student/stage.json", "--from cascade needs the result of stage student in OUT: run it first."),
    ],
)  # fmt: skip
def test_a_damaged_file_of_a_stage_before(changed, stage, name, message):
    assert changed(stage, cut(name)).startswith(message)


def test_tiers_whose_labels_differ(changed):
    def rename(out):
        config = out / "student" / "config.json"
        config.write_text(config.read_text().replace("positive", "pos"))

    assert changed("cascade", rename) == (
        "OUT/student answers with the labels negative, pos, but here they are negative, positive. "
        "Both must hold the same names: correct id2label in its config.json."
    )


def test_a_teacher_whose_labels_differ_from_the_datas(small, finished, refused, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text(small.table.read_text().replace("positive", "pos"))
    told = refused(*small.arguments(tmp_path / "out", data=path, teacher=finished / "teacher"))
    assert told == (
        "the model's labels are ['negative', 'positive'], but the data's are ['negative', 'pos']. Name the "
        "model's as the data does, in the model's own order, with model.label_names; or, where the data's labels are "
        "ids, their classes with data.label_names and data.label_ids=true."
    )


def test_vectors_of_another_width(small, changed, tmp_path):
    narrow = tmp_path / "glove.txt"
    lines = small.glove.read_text().splitlines()
    narrow.write_text("\n".join(" ".join(line.split()[:50]) for line in lines))
    told = changed("student", lambda out: None, f"--set=student.model.glove={narrow}")
    assert told == (
        f"{narrow}: its vectors are 49 wide, but 50 is wanted; give vectors of that width (GloVe's 50d file), "
        "or set model.embedding_size to 49"
    )


def test_no_vectors(changed):
    told = changed("student", lambda out: None, "--set=student.model.glove=nowhere.txt")
    assert told == "nowhere.txt: no such GloVe file; give a text file of a word and its numbers per line"


@pytest.mark.parametrize("name, message", [("cascade.json", "is not valid JSON ("), ("summary.json", "(")])
def test_a_cascade_that_cannot_be_read(finished, refused, tmp_path, name, message):
    folder = shutil.copytree(finished / "cascade", tmp_path / "cascade")
    (folder / name).write_text("{")
    told = refused("choose", folder, "--keep=0.9")
    assert f"{folder / name} {message}" in told and "Run the cascade stage" in told

"""Tables as people's tools write them: quoting, marks, separators, encodings, line ends, corruption."""

import doctest
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from tangodistill.data import tables
from tangodistill.data.tables import TextForm, read_table, read_tables, read_tsv, table_files
from tangodistill.user_error import UserError


def write(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def error_of(path) -> str:
    with pytest.raises(UserError) as error:
        read_table(path)
    return str(error.value)


def test_csv_with_mark_quotes_commas_line_ends_and_nul(tmp_path):
    path = write(tmp_path / "a.csv", '\ufefftext,label\r\n"He said ""no"", twice\nand left",x\n\na\0b,y\r\n"",x')
    table = read_table(path)
    assert table.names == ("text", "label")
    assert table.column("text") == ['He said "no", twice\nand left', "a\0b", ""]
    assert table.column("label") == ["x", "y", "x"]


def test_csv_takes_a_text_of_any_length(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n" + "word " * 60_000 + ",x\n")
    assert len(read_table(path).column("text")[0]) == 300_000


def test_csv_with_an_open_quote_names_the_line(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\nfine,x\n"never closed,y\nz,x\n')
    assert error_of(path) == f"{path}, line 4: broken quoting (unexpected end of data)."


def test_row_of_another_width_names_the_line(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nfine,x\none,two,three\n")
    assert error_of(path) == f"{path}, line 3: 3 fields, but the header has 2."


def test_tsv_is_never_quoted_and_cut_at_line_ends_only(tmp_path):
    path = write(
        tmp_path / "a.tsv", '\ufefftext\tlabel\r\n"bare quote\tx\r\nline\u2028separator 😀 שלום\ty\nold mac\tx\r'
    )
    table = read_table(path)
    assert table.column("text") == ['"bare quote', "line\u2028separator 😀 שלום", "old mac"]
    assert table.column("label") == ["x", "y", "x"]


def test_tsv_without_header_gets_names(tmp_path):
    path = write(tmp_path / "a.tsv", "x\t1\n")
    assert read_tsv(path, TextForm(), header=("text", "label")).column("label") == ["1"]


def test_jsonl_keeps_types_and_fills_gaps(tmp_path):
    rows = [{"text": "a\u2028b", "label": 1}, {"text": "b", "label": [1, 2]}, {"label": None}]
    path = write(tmp_path / "a.jsonl", "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    table = read_table(path)
    assert table.column("text") == ["a\u2028b", "b", None]
    assert table.column("label") == [1, [1, 2], None]


def test_corrupt_jsonl_names_file_and_line(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "lab')
    assert error_of(path) == f"{path}, line 2: not valid JSON (Unterminated string starting at, column 15)."
    path = write(tmp_path / "b.jsonl", '["text", "label"]\n')
    assert error_of(path) == f"{path}, line 1: expected a JSON object, found list."


def test_parquet_keeps_class_names(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.class_names == {"label": ("neg", "pos")}
    assert table.column("label") == [1, 0]
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "b.parquet")
    assert read_table(tmp_path / "b.parquet").column("text") == ["a", None]


def test_unreadable_files(tmp_path):
    path = write(tmp_path / "a.parquet", b"PAR1 truncated")
    assert error_of(path).startswith(f"{path}: not a readable Parquet file (")
    path = write(tmp_path / "a.csv", "text,label\ncafé,x\n".encode("latin-1"))
    assert error_of(path) == (
        f"{path}: not UTF-8 text (byte 14); save it as UTF-8, or set dataset.encoding to what reads it right: "
        "cp1252 ('café'), cp1250 ('café'), cp1251 ('cafй')."
    )
    path = write(tmp_path / "empty.csv", "")
    assert error_of(path) == f"{path}: the file is empty."
    path = write(tmp_path / "twice.csv", "text,text\na,b\n")
    assert error_of(path) == f"{path}: the header names the column 'text' twice."
    path = write(tmp_path / "a.xlsx", b"")
    assert error_of(path) == f"{path}: cannot read a table of the kind '.xlsx'; allowed: .csv, .tsv, .jsonl, .parquet."


ROWS = {"text": ["naïve, so", "schön; gut"], "label": ["oui", "non"]}


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(mark, tmp_path):
    path = write(tmp_path / "a.csv", "text,label\r\ncafé,x\r\n".encode(mark))
    assert read_table(path).names == ("text", "label") and read_table(path).column("text") == ["café"]


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "café – 10 €"), ("cp1251", "привет"), ("utf-16-le", "é")])
def test_an_encoding_that_is_named(encoding, text, tmp_path):
    form = TextForm(encoding=encoding)
    for name, content in (
        ("a.csv", f"text,label\n{text},x\n"),
        ("a.tsv", f"text\tlabel\n{text}\tx\n"),
        ("a.jsonl", json.dumps({"text": text, "label": "x"}, ensure_ascii=False) + "\n"),
    ):
        path = write(tmp_path / name, content.encode(encoding))
        assert read_table(path, form).column("text") == [text]


def test_utf_16_without_a_mark_and_an_encoding_that_does_not_fit_are_told(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nfine,x\n".encode("utf-16-le"))
    assert error_of(path) == f"{path}: looks like UTF-16 without its mark; set dataset.encoding to utf-16-le."
    path = write(tmp_path / "b.csv", "text,label\nfine – so,x\n".encode("cp1252"))
    for encoding, told in (
        ("ascii", f"{path}: not ascii text (byte 16); "),
        ("cp12", "dataset.encoding is 'cp12', which"),
    ):
        with pytest.raises(UserError) as error:
            read_table(path, TextForm(encoding=encoding))
        assert str(error.value).startswith(told)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_with_quotes_as_usual(separator, tmp_path):
    lines = [separator.join(row) for row in (ROWS.keys(), ['"naïve, so"', "oui"], ['"schön; gut"', "non"])]
    path = write(tmp_path / "a.csv", "\n".join(lines))
    assert read_table(path, TextForm(separator)).column("text") == ROWS["text"]


WIDTH = "line 2: 2 fields, but the header has 1."
QUOTES = "line 1: broken quoting (',' expected after '\"')."


@pytest.mark.parametrize(
    ("name", "content", "error", "proposal"),
    [
        ("a.csv", "text;label\nfine, so;x\n", WIDTH, "';': set dataset.separator to it."),
        ("a.csv", '"text";"label"\nfine;x\n', QUOTES, "';': set dataset.separator to it."),
        ("a.csv", "text\tlabel\na, b\tx\n", WIDTH, "a tab: set dataset.separator to tab."),
        ("a.csv", "text|label\na, b|x\n", WIDTH, "'|': set dataset.separator to it."),
        ("a.tsv", "text,label\na\tb,x\n", WIDTH, "',': set dataset.separator to it."),
    ],
)
def test_a_separator_that_would_fit_is_proposed(name, content, error, proposal, tmp_path):
    path = write(tmp_path / name, content)
    assert error_of(path) == f"{path}, {error} The header looks separated by {proposal}"


def test_only_the_columns_of_parquet_that_are_asked_for_are_read(tmp_path):
    """Types that neither `datasets` nor anyone else makes text of may stand beside them."""
    others = {
        "map": pa.array([[("a", "b")], []], pa.map_(pa.string(), pa.string())),
        "struct": pa.array([{"a": 1}, {"a": 2}]),
        "list": pa.array([[1], []]),
        "decimal": pa.array([1, 2], pa.decimal128(10, 2)),
        "interval": pa.array([1, 2], pa.duration("s")),
        "union": pa.array([None, None], pa.null()),
    }
    texts = pa.array(["a", "b"])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts, "label": texts.dictionary_encode(), **others}), path)
    table = read_table(path)
    assert table.names == ("text", "label", *others) and table.class_names == {}
    assert table.column("text") == table.column("label") == ["a", "b"]


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int8(), pa.binary())]
)
def test_text_in_parquet_of_any_type_is_text(kind, tmp_path):
    values = pa.array(["café", None]).cast(kind.value_type if pa.types.is_dictionary(kind) else kind)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": values.dictionary_encode() if pa.types.is_dictionary(kind) else values}), path)
    assert read_table(path).column("text") == ["café", None]


def test_bytes_that_are_no_text_name_their_column(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array([b"\xff\xfe"])}), path)
    with pytest.raises(UserError, match=f"^column 'text' of {path}: not a readable Parquet file"):
        read_table(path).column("text")


def test_a_parquet_table_may_be_cut_into_parts(tmp_path):
    for part, letter in enumerate("ab"):
        rows = pa.table({"text": [f"{letter}{i}" for i in range(2)], "label": ["x", "y"]})
        pq.write_table(rows, tmp_path / f"train-0000{part}-of-00002.parquet")
    table = read_tables(table_files(tmp_path)["train"], TextForm())
    assert table.column("text") == ["a0", "a1", "b0", "b1"] and table.short_origin == "train-*.parquet"
    (tmp_path / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(UserError, match=r"train-00001-of-00002.parquet: of its 2 parts, 1 lie here; copy them all\.$"):
        table_files(tmp_path)


def test_doctests():
    assert doctest.testmod(tables).failed == 0

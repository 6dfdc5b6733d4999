"""Tables as people's tools write them: quoting, marks, line ends, corruption."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from tangodistill.data.tables import read_table, read_tsv
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
    assert read_tsv(path, header=("text", "label")).column("label") == ["1"]


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
    assert error_of(path) == f"{path}: not UTF-8 text (byte 14); save it as UTF-8."
    path = write(tmp_path / "empty.csv", "")
    assert error_of(path) == f"{path}: the file is empty."
    path = write(tmp_path / "twice.csv", "text,text\na,b\n")
    assert error_of(path) == f"{path}: the header names the column 'text' twice."
    path = write(tmp_path / "a.xlsx", b"")
    assert error_of(path) == f"{path}: cannot read a table of the kind '.xlsx'; allowed: .csv, .tsv, .jsonl, .parquet."

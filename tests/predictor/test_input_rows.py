"""What a predictor may be given: one text, a list, a column of any library; everything else is named."""

import csv
import doctest
from collections import UserDict
from itertools import chain

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.predictor import input_rows as module
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.user_error import UserError

TEXTS = ["a good film", "bad", "very dull plot ."]
PAIRS = list(zip(TEXTS, TEXTS[::-1], strict=True))
FRAME = pd.DataFrame({"id": [1, 2, 3], "text": TEXTS})
TABLE = pa.table({"id": [1, 2, 3], "text": TEXTS})


@pytest.fixture(scope="module")
def engines(bilstm_folder, bert_folder):
    return [TorchEngine.load(bilstm_folder), TorchEngine.load(bert_folder)]


@pytest.fixture
def predictor(engines):
    return CascadePredictor(engines, ("negative", "positive"), 0.88, (8, 4))


@pytest.fixture
def pair_predictor(engines):
    return CascadePredictor(engines, ("negative", "positive"), 0.88, (8, 4), ("question", "sentence"))


def error_of(predict, given) -> str:
    with pytest.raises(UserError) as error:
        predict(given)
    return str(error.value)


class Frame:
    """A data frame of another library, as Polars has them."""

    columns = ["id", "text"]

    def __iter__(self):
        return iter([FRAME["id"], FRAME["text"]])


TABLES = {
    "pandas": FRAME,
    "polars": Frame(),
    "arrow": TABLE,
    "record batch": TABLE.to_batches()[0],
    "data set": datasets.Dataset.from_dict({"id": [1, 2, 3], "text": TEXTS}),
    "records": FRAME.to_records(index=False),
    "dict": {"id": [1, 2, 3], "text": TEXTS},
    "mapping": UserDict(id=[1, 2, 3], text=TEXTS),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_no_column(predictor, pair_predictor, kind):
    found = f"found a {type(TABLES[kind]).__name__} with the columns id, text. Give the texts alone, as in predict("
    for predict in (predictor.predict, predictor.predict_iter):
        assert error_of(predict, TABLES[kind]) == f"expected a string or a list of such, {found}table['text'])."
    assert error_of(pair_predictor.predict, TABLES[kind]) == (
        f"expected a pair of strings (question, sentence) or a list of such, {found}"
        "zip(table['question'], table['sentence']))."
    )


def test_a_wide_table_names_its_first_columns(predictor):
    wide = pd.DataFrame({f"c{i}": TEXTS for i in range(20)})
    assert "with the columns c0, c1, c2, c3, c4, c5, c6, c7 .... Give" in error_of(predictor.predict, wide)
    assert "a dict with the columns (none). Give" in error_of(predictor.predict, {})


@pytest.mark.parametrize("array", [np.array([TEXTS, TEXTS]), np.array(PAIRS, dtype=object)])
def test_an_array_of_more_dimensions_is_no_column(predictor, pair_predictor, array):
    for predict in (predictor.predict, predictor.predict_iter, pair_predictor.predict):
        assert error_of(predict, array).endswith(
            "or a list of such, found a ndarray of 2 dimensions. Give one column of it, as in predict(array[:, 0])."
        )


COLUMNS = {
    "series": FRAME["text"],
    "series of Arrow": FRAME["text"].astype("string[pyarrow]"),
    "series with odd labels": pd.Series(TEXTS, index=["columns", "ndim", "column_names"]),
    "categories": FRAME["text"].astype("category"),
    "index": pd.Index(TEXTS),
    "arrow": TABLE["text"],
    "arrow array": pa.array(TEXTS),
    "arrow categories": pa.array(TEXTS).dictionary_encode(),
    "arrow view": pa.array(TEXTS, pa.string_view()),
    "numpy": np.array(TEXTS),
    "numpy of objects": np.array(TEXTS, dtype=object),
    "numpy strings": np.array(TEXTS, dtype=np.dtypes.StringDType()),
    "data set": TABLES["data set"]["text"],
    "tuple": tuple(TEXTS),
    "keys": dict.fromkeys(TEXTS).keys(),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_any_library_is_answered(predictor, pair_predictor, kind):
    expected = predictor.predict(TEXTS)
    assert predictor.predict(COLUMNS[kind]) == expected
    assert list(predictor.predict_iter(COLUMNS[kind], max_wait_ms=1000)) == expected
    assert pair_predictor.predict(zip(COLUMNS[kind], TEXTS[::-1], strict=True)) == pair_predictor.predict(PAIRS)


@pytest.mark.parametrize("column", [
    pa.array([list(pair) for pair in PAIRS]), pd.Series(PAIRS), pd.Series([list(pair) for pair in PAIRS]),
])  # fmt: skip
def test_a_column_of_pairs_is_answered(pair_predictor, column):
    assert pair_predictor.predict(column) == pair_predictor.predict(PAIRS)


def test_one_string_of_numpy_is_a_string(predictor):
    assert predictor.predict(np.array(TEXTS)[0]) == predictor.predict(TEXTS[0])


def test_arrow_is_read_in_parts(predictor, monkeypatch):
    monkeypatch.setattr(module, "ARROW_ROWS", 2)
    assert predictor.predict(pa.chunked_array([TEXTS, TEXTS])) == predictor.predict(TEXTS * 2)


@pytest.mark.parametrize(("given", "found"), [
    (None, "None"), (5, "int 5"), (2.5, "float 2.5"), (True, "bool True"), (np.int64(5), "int64 np.int64(5)"),
    (b"good film", "bytes b'good film'; decode it first"),
    (bytearray(b"a"), "bytearray bytearray(b'a'); decode it first"),
    (np.array("a"), "ndarray array('a', dtype='<U1')"), (object, "type <class 'object'>"),
])  # fmt: skip
def test_what_is_neither_text_nor_several_is_named(predictor, pair_predictor, given, found):
    for predict in (predictor.predict, predictor.predict_iter):
        assert error_of(predict, given) == f"expected a string or a list of such, found {found}."
    assert error_of(pair_predictor.predict, given) == (
        f"expected a pair of strings (question, sentence) or a list of such, found {found}."
    )


def test_a_stream_of_one_text_is_not_taken_for_its_letters(predictor):
    assert error_of(predictor.predict_iter, "good") == "expected a string or a list of such, found str 'good'."


@pytest.mark.parametrize(("value", "found"), [
    (None, "None"), (float("nan"), "float nan"), (pd.NA, "NAType <NA>"), (b"a", "bytes b'a'"),
    ({"text": "a"}, "dict {'text': 'a'}"), (FRAME, "DataFrame id text 0 1 a good film 1 2 bad 2 3 very dull p..."),
])  # fmt: skip
def test_a_row_that_is_no_text_is_named_with_its_number(predictor, value, found):
    message = f"row 2: expected a string, found {found}."
    column = pd.Series(["a", "b", value, "c"], dtype=object)
    assert error_of(predictor.predict, column) == error_of(predictor.predict, ["a", "b", value]) == message
    answers = list(predictor.predict_iter(column))
    assert [answer.error for answer in answers] == [None, None, message, None]
    assert [answer.label for answer in answers[:2]] == [answer.label for answer in predictor.predict(["a", "b"])]


def test_a_missing_text_of_a_column_is_named_as_its_library_has_it(predictor):
    text = pd.Series(["a", None], dtype="string")
    assert error_of(predictor.predict, text) == "row 1: expected a string, found NAType <NA>."
    assert error_of(predictor.predict, pa.array(["a", None])) == "row 1: expected a string, found None."


def test_rows_of_a_csv_reader_are_named(predictor):
    rows = csv.DictReader(["text", "a"])
    assert error_of(predictor.predict, rows) == "row 0: expected a string, found dict {'text': 'a'}."


def test_a_source_without_any_text_has_errors_only(predictor, monkeypatch):
    monkeypatch.setattr("tangodistill.predictor.predictor.CHUNK_ROWS", 2)
    answers = list(predictor.predict_iter(chain([1, 2, 3], ["good"])))
    assert [answer.error is None for answer in answers] == [False, False, False, True]
    assert answers[2].error == "row 2: expected a string, found int 3."


BLANKS = ["", " ", "\n\t", "\u00a0", "\u3000", "\u200b\ufeff", "\x00"]


@pytest.mark.parametrize("text", BLANKS)
def test_a_text_without_anything_to_read_is_answered_and_flagged(predictor, pair_predictor, text):
    """Alike alone, in a list and in a stream, by either tier; of a pair either side counts."""
    for threshold, tier in ((0.0, 1), (2.0, 2)):
        alone = predictor.predict(text, threshold)
        listed, other = predictor.predict([text, "."], threshold)
        streamed = next(predictor.predict_iter([text], threshold))
        assert alone.blank and listed.blank and streamed.blank and not other.blank
        assert (alone.label, alone.tier) == (listed.label, tier) == (streamed.label, tier)
    assert pair_predictor.predict((text, "good")).blank and pair_predictor.predict(("good", text)).blank
    assert not pair_predictor.predict(("good", "bad")).blank


def test_doctests():
    assert doctest.testmod(module).failed == 0

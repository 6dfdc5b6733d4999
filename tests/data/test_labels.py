"""Labels are text and keep their names; what is no single class is refused, and nothing is guessed."""

import datetime
from decimal import Decimal

import pytest

from tangodistill.data.labels import given_label_names, infer_label_names, label_ids, label_texts
from tangodistill.user_error import UserError


def message(function, *arguments, **settings) -> str:
    with pytest.raises(UserError) as error:
        function(*arguments, **settings)
    return str(error.value)


@pytest.mark.parametrize(
    "text", ["1.0", "0.50", "True", "2024-01-01", "007", "null", "NaN", "[cold]", "['a', 'b']", "{x}", "v1.0", "是"]
)
def test_text_stands_as_it_is(text):
    assert label_texts([f" {text}\u00a0"], "a.csv") == [text]


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "3"), (2.0, "2.0"), (True, "True"), (Decimal("1.50"), "1.50"), (b"caf\xc3\xa9", "café"),
     (datetime.date(2024, 1, 1), "2024-01-01")],
)  # fmt: skip
def test_other_types_have_one_text(value, name):
    assert label_texts([value], "a.parquet") == [name]


def test_class_ids_get_their_classes_names():
    assert label_texts([1, 0, "pos"], "a", ("neg", "pos")) == ["pos", "neg", "pos"]
    assert message(label_texts, [-1], "a.csv", ("n", "p")) == "a.csv, row 1: class id -1, but there are 2 classes."


@pytest.mark.parametrize(
    "nothing",
    [None, "", float("nan"), " ", "\u00a0", "\t", "\u3000", "\u200b", "\ufeff", "\0", "\u200e \u2060", "\u3164"],
)
def test_a_row_without_a_label_is_named(nothing):
    assert message(label_texts, ["x", nothing], "a.csv") == "a.csv, row 2: no label; every row needs one."


def test_multi_label_is_refused():
    for several in ([0, 1], ["a"], {"a": 1}):
        assert message(label_texts, [several], "a.jsonl") == (
            f"a.jsonl, row 1: the label is a list ({several}); multi-label data is not supported, "
            "give one label per row."
        )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, "1"], "the label '1' is text, but row 1's, 1, is a number"),
        ([True, 1], "the label 1 is a number, but row 1's, True, is true or false"),
        (["yes", True], "the label True is true or false, but row 1's, 'yes', is text"),
    ],
)
def test_labels_of_several_types_are_refused(values, told):
    assert message(label_texts, values, "a.jsonl") == f"a.jsonl, row 2: {told}; write all labels the same way."


def test_regression_is_refused():
    help_ = "If they do name classes, list them in dataset.label_names, in quotes."
    assert message(infer_label_names, ["0.5", "1", "2.75"], "a.csv") == (
        "a.csv: the labels are numbers (such as 0.5), which looks like regression; only classification is supported. "
        + help_
    )
    many = [str(i) for i in range(200)]
    assert message(infer_label_names, many, "a.csv") == (
        "a.csv: the labels are numbers (200 different ones), which looks like regression; only classification is "
        f"supported. {help_}"
    )
    assert len(infer_label_names(many * 10, "a.csv")) == 200  # two hundred classes that recur


def test_inferred_names_are_sorted_numbers_by_value():
    assert infer_label_names(["b", "a", "b"], "a") == ("a", "b")
    assert infer_label_names(["10", "2", "1"], "a") == ("1", "2", "10")
    assert infer_label_names(["1.0", "0.0"], "a") == ("0.0", "1.0")


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (["yes", "Yes", "no"], "'Yes' and 'yes'"),
        (["1", "1.0", "0"], "'1' and '1.0'"),
        (["7", "007"], "'007' and '7'"),
        (["very good", "very  good"], "'very  good' and 'very good'"),
        (["yes", "yes\u200b"], "'yes' and 'yes\\u200b'"),
        (["caf\u00e9", "cafe\u0301"], "'cafe\u0301' and 'caf\u00e9'"),
    ],
)
def test_labels_that_are_hardly_two_classes_are_refused_unless_listed(labels, shown):
    assert message(infer_label_names, labels, "a.csv") == (
        f"a.csv: the labels {shown} differ in case, spacing or spelling of a number only. Write them alike; "
        "if they are two classes, list all in dataset.label_names, in quotes."
    )
    assert label_ids(labels, given_label_names(labels, "dataset.label_names"), "a.csv") == list(range(len(labels)))


def test_given_names_are_read_as_the_files_labels_are():
    assert given_label_names([" 1.0", "0.50\u00a0"], "dataset.label_names") == ("1.0", "0.50")
    assert message(given_label_names, ["a", " "], "dataset.label_names") == (
        "dataset.label_names holds a blank name (''); give each class a name."
    )
    assert message(given_label_names, ["a", " a"], "dataset.label_names") == (
        "dataset.label_names names the class 'a' twice."
    )


def test_ids_follow_names_as_they_stand():
    assert label_ids(["p", "n"], ("n", "p"), "a") == [1, 0]
    assert label_ids(["1.0", "0.0"], ("1.0", "0.0"), "a") == [0, 1]
    assert label_ids(["1", "0"], ("1", "0"), "a") == [0, 1]


@pytest.mark.parametrize(
    ("label", "names", "told"),
    [
        ("z", ("n", "p"), "correct it, or list all classes in dataset.label_names."),
        ("1", ("1.0", "0.0"), "write it as '1.0', or name it so in dataset.label_names, in quotes."),
        ("Yes", ("no", "yes"), "write it as 'yes', or name it so in dataset.label_names, in quotes."),
        (
            "1",
            ("n", "p"),
            "name the classes as the file does, or, if its labels are ids, set dataset.label_ids to true.",
        ),
    ],
)
def test_a_label_outside_the_set_is_never_taken_for_an_id(label, names, told):
    assert message(label_ids, [label], names, "a.csv") == (
        f"a.csv, row 1: label '{label}' is not in the label set ({', '.join(names)}); {told}"
    )


def test_labels_that_are_said_to_be_ids():
    assert label_ids(["1", "0.0"], ("n", "p"), "a", are_ids=True) == [1, 0]
    for wrong in ("2", "-1", "0.5", "p"):
        assert message(label_ids, ["0", wrong], ("n", "p"), "a.csv", are_ids=True) == (
            f"a.csv, row 2: label '{wrong}' is no class id; there are 2 classes, so ids are 0 to 1."
        )

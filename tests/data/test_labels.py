"""Labels keep their names; what is no single class is refused."""

import pytest

from tangodistill.data.labels import infer_label_names, label_ids, label_texts
from tangodistill.user_error import UserError


def message(function, *arguments) -> str:
    with pytest.raises(UserError) as error:
        function(*arguments)
    return str(error.value)


def test_names_from_text_numbers_truth_values_and_class_ids():
    assert label_texts([" good ", "1.0", 3, 2.0, True, "01", "v1.0"], "a") == [
        "good", "1", "3", "2", "True", "01", "v1.0",
    ]  # fmt: skip
    assert label_texts([1, 0, "pos"], "a", ("neg", "pos")) == ["pos", "neg", "pos"]


def test_a_row_without_a_label_is_named():
    for nothing in (None, "", float("nan")):
        assert message(label_texts, ["x", nothing], "a.csv") == "a.csv, row 2: no label; every row needs one."
    assert message(label_texts, [-1], "a.csv", ("n", "p")) == "a.csv, row 1: class id -1, but there are 2 classes."


def test_multi_label_is_refused():
    for several in ([0, 1], "['a', 'b']"):
        assert message(label_texts, [several], "a.csv") == (
            f"a.csv, row 1: the label is a list ({several}); multi-label data is not supported, give one label per row."
        )


def test_regression_is_refused():
    assert message(infer_label_names, ["0.5", "1", "2.75"], "a.csv") == (
        "a.csv: the labels are numbers (such as 0.5), which looks like regression; only classification is supported. "
        "If they do name classes, list them in dataset.label_names."
    )
    many = [str(i) for i in range(200)]
    assert message(infer_label_names, many, "a.csv") == (
        "a.csv: the labels are numbers (200 different ones), which looks like regression; only classification is "
        "supported. If they do name classes, list them in dataset.label_names."
    )
    assert len(infer_label_names(many * 10, "a.csv")) == 200  # two hundred classes that recur


def test_inferred_names_are_sorted_numbers_by_value():
    assert infer_label_names(["b", "a", "b"], "a") == ("a", "b")
    assert infer_label_names(["10", "2", "1"], "a") == ("1", "2", "10")


def test_ids_follow_names_and_numbers_only_where_no_name_fits():
    assert label_ids(["p", "n"], ("n", "p"), "a") == [1, 0]
    assert label_ids(["1", "0"], ("n", "p"), "a") == [1, 0]
    assert label_ids(["1", "0"], ("1", "0"), "a") == [0, 1]
    expected = (
        "a.csv, row 2: label '2' is not in the label set (1, 0); "
        "correct it, or list all classes in dataset.label_names."
    )
    assert message(label_ids, ["1", "2"], ("1", "0"), "a.csv") == expected
    assert "label '1' is not in the label set (n, p)" in message(label_ids, ["1"], ("n", "p"), "a", False)
    assert "row 1: label '2' is not" in message(label_ids, ["2"], ("n", "p"), "a")

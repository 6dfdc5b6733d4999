"""Scores, confusions and deferral of each class."""

import re

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score
from synthetic_run import random_logits, write_run

from tangodistill.report.classes import class_tables
from tangodistill.report.run_files import read_measured


def three_classes(n=90, classes=3):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, n)
    return labels, *(np.eye(classes)[labels] * strength + rng.normal(0, 1, (n, classes)) for strength in (1.0, 2.5))


def cells_of(shown, heading):
    row = re.search(rf'<th scope="row">{heading}</th>(.*?)</tr>', shown)[1]
    return [re.sub("<small>.*", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]


def test_scores_of_each_class(tmp_path):
    labels, logits1, logits2 = three_classes()
    write_run(tmp_path, labels, logits1, logits2, metric="f1")
    measured = read_measured(tmp_path / "cascade")
    deferred = measured.predictions["confidence"].to_numpy() < np.float32(measured.summary["chosen"]["threshold"])
    student, teacher = logits1.argmax(1), logits2.argmax(1)
    answers = teacher, student, np.where(deferred, teacher, student)
    shown = class_tables(measured)
    for number, name in enumerate(("negative", "positive", "neutral")):
        own = labels == number
        scores = [score(labels, given, average=None)[number] for score in (recall_score, precision_score, f1_score)
                  for given in answers]  # fmt: skip
        assert cells_of(shown, name)[:11] == [
            str(own.sum()), f"{100 * deferred[own].mean():.1f} %", *(f"{100 * score:.1f} %" for score in scores[:6]),
            *(f"{100 * score:.1f}" for score in scores[6:]),
        ]  # fmt: skip


def test_confusions_of_both_tiers(tmp_path):
    labels, logits1, logits2 = three_classes()
    write_run(tmp_path, labels, logits1, logits2)
    shown = class_tables(read_measured(tmp_path / "cascade"))
    for tier, logits in (("teacher", logits2), ("student", logits1)):
        table = shown[shown.index(f"Confusion matrix of the {tier}") :]
        counts = confusion_matrix(labels, logits.argmax(1))
        for name, row in zip(("negative", "positive", "neutral"), counts, strict=True):
            assert cells_of(table, name) == [str(count) for count in row]


def test_of_many_classes_the_most_frequent_mistakes_are_shown(tmp_path):
    labels, logits1, logits2 = three_classes(400, 20)
    write_run(tmp_path, labels, logits1, logits2)
    measured = read_measured(tmp_path / "cascade")
    measured.summary["label_names"] = [f"class {i}" for i in range(20)]
    student = class_tables(measured).partition("Confusion matrix of the student")[2]
    counts = confusion_matrix(labels, logits1.argmax(1))
    np.fill_diagonal(counts, 0)
    i, j = divmod(int(counts.argmax()), 20)
    assert cells_of(student, f"class {i} → class {j}") == [str(counts.max())]
    assert student.count("<tr>") == 25  # heading, and 24 pairs


def test_spans_have_no_classes(tmp_path):
    from synthetic_paper import write_span_run

    write_span_run(tmp_path)
    assert class_tables(read_measured(tmp_path / "cascade")) == ""


def test_labels_are_escaped(tmp_path):
    write_run(tmp_path, *random_logits(60, 0))
    measured = read_measured(tmp_path / "cascade")
    measured.summary["label_names"] = ["<b>no</b>", "yes"]
    assert "<b>" not in class_tables(measured)

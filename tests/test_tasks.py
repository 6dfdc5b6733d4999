"""Task records: complete, and found by name."""

import pytest

from tangodistill.tasks import TASKS, get_task
from tangodistill.user_error import UserError


def test_every_published_task_says_all_that_is_needed():
    for name in ("sst2", "cola", "mrpc", "qnli"):
        task = get_task(name)
        assert len(task.label_names) == 2 and task.glue_folder and task.hub == ("nyu-mll/glue", name)
        assert task.max_length == (128 if task.is_pair else 64)
        assert task.kind == "classification"


def test_label_order_is_the_hubs():
    assert TASKS["sst2"].label_names == ("negative", "positive")
    assert TASKS["cola"].label_names == ("unacceptable", "acceptable")
    assert TASKS["mrpc"].label_names == ("not_equivalent", "equivalent")
    assert TASKS["qnli"].label_names == ("entailment", "not_entailment")


def test_a_custom_task_takes_its_classes_from_the_data():
    assert TASKS["custom"].label_names == () and not TASKS["custom"].is_pair


def test_squad_asks_for_spans_of_windows():
    task = TASKS["squad"]
    assert (task.kind, task.text_columns, task.metric) == ("spans", ("question", "context"), "f1")
    assert (task.max_length, task.hub) == (384, ("rajpurkar/squad", "plain_text"))
    assert not task.label_column and not task.label_names


def test_unknown_task_suggests_the_nearest():
    with pytest.raises(UserError) as error:
        get_task("SST-2")
    known = "Known tasks: cola, custom, mrpc, qnli, squad, sst2."
    assert str(error.value) == f"Unknown task 'SST-2'; did you mean 'sst2'? {known}"
    with pytest.raises(UserError) as error:
        get_task("zzzzzz")
    assert str(error.value) == f"Unknown task 'zzzzzz'. {known}"

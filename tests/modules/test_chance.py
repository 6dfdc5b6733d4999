"""A classifier that has learnt nothing stops the run; one below the best constant answer is told of."""

import json

import numpy as np
import pytest
from quiet_trainer import trainer

from tangodistill.modules import StudentModule, TransferData
from tangodistill.modules.chance import constant_warning, refuse_chance
from tangodistill.tasks import get_task
from tangodistill.user_error import UserError


@pytest.mark.parametrize(
    ("mcc", "rows", "hint"), [(0.19, 100, "train on"), (-0.5, 100, "its label names may be swapped")]
)
def test_at_chance_is_within_two_standard_errors_of_nothing(mcc, rows, hint):
    with pytest.raises(UserError) as error:
        refuse_chance("the student", mcc, rows, "train on")
    assert str(error.value) == (
        f"the student is at chance on the selection role: MCC {mcc:.3f} on {rows} rows, at least 0.200 is needed. "
        f"A cascade over it would mean nothing; {hint}."
    )
    refuse_chance("the student", 0.21, rows, "train on")


def test_the_best_constant_answer_is_that_of_the_tasks_own_metric():
    """The BiLSTM on MRPC: an F1 of 75.2 beside 79.9 of always saying that sentences are equivalent."""
    labels = np.repeat([0, 1], [100, 199])
    task = get_task("mrpc")
    told = constant_warning("tier 1", 0.752, labels, task, "report")
    assert told == (
        "tier 1 is no better than one constant answer: F1 of equivalent 75.2 on the report role, where always "
        "answering 'equivalent' gives 79.9"
    )
    assert constant_warning("tier 1", 0.81, labels, task, "report") is None
    assert "'not_equivalent'" not in told


def test_a_student_at_chance_stops_the_run(inputs, dataset, labelled, tmp_path):
    module = StudentModule(str(inputs / "glove.txt"), lr=1e-9)
    with pytest.raises(UserError, match=r"the student is at chance on the selection role: MCC -?0\.\d{3} on 60 rows"):
        trainer(tmp_path, max_epochs=1).fit(module, TransferData(dataset, str(labelled), batch_size=32))
    assert not (tmp_path / "metrics.json").exists()


def test_a_student_tells_the_share_of_words_that_it_does_not_know(inputs, dataset, labelled, tmp_path):
    module = StudentModule(str(inputs / "glove.txt"), vocabulary=14, lr=5e-3)
    module.refuse_chance = lambda scores: None
    data = TransferData(dataset, str(labelled), batch_size=32)
    trainer(tmp_path, max_epochs=1).fit(module, data)
    scores = json.loads((tmp_path / "metrics.json").read_text())
    tokens = data.held_out_tokens().ids
    assert (
        scores["unknown"] == pytest.approx(np.mean(tokens == module.tokenizer.unk_token_id)) and scores["unknown"] > 0.1
    )
    assert any("knows none of" in warning for warning in scores["warnings"])

"""What is taken of a search's front."""

import doctest
import json

import pytest

from tangodistill.data.contents import model_hash
from tangodistill.tuning import length_front as front
from tangodistill.tuning.length_front import RECORD, read_front
from tangodistill.user_error import UserError


def write_front(folder, rows, **settings):
    rows = [{"lengths": lengths, "time_share": time, "score": 0.5 + time / 4} for time, lengths in rows]
    (folder / RECORD).write_text(json.dumps({"settings": {"model": "m", **settings}, "front": rows}))


def test_few_are_taken_evenly_by_time_and_none_as_slow_as_the_full_network(tmp_path):
    times = [0.2, 0.21, 0.22, 0.41, 0.6, 0.79, 0.8]
    rows = [(time, [1.0, time]) for time in times]
    write_front(tmp_path, [*rows, (0.9, [1, 1]), (1.01, [1.0, 0.99])])
    assert read_front(tmp_path, 2).spread(4) == [(1.0, 0.2), (1.0, 0.41), (1.0, 0.6), (1.0, 0.8)]


def test_a_short_front_is_taken_whole(tmp_path):
    write_front(tmp_path, [(0.5, [0.5, 0.25]), (0.6, [1, 0.25])])
    assert read_front(tmp_path, 2).spread(4) == [(0.5, 0.25), (1.0, 0.25)]
    write_front(tmp_path, [(1.0, [1, 1])])
    assert read_front(tmp_path, 2).spread(4) == []


def test_what_is_no_search_of_this_model_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=rf"Cannot read {tmp_path}/{RECORD} \(.*that `python -m tangodistill search` wrote"
    ):
        read_front(tmp_path, 2).spread(4)
    (tmp_path / RECORD).write_text("[]")
    with pytest.raises(UserError, match="Cannot read"):
        read_front(tmp_path, 2).spread(4)
    write_front(tmp_path, [(0.5, [1, 0.5, 0.5])])
    with pytest.raises(UserError, match="length_configuration has 3 entries .* but the model 2 layers"):
        read_front(tmp_path, 2).spread(4)


def test_a_front_holds_for_the_weights_that_were_searched(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_text("weights")
    write_front(tmp_path, [(0.5, [1, 0.5])], contents=model_hash(model))
    read_front(tmp_path, 2).refuse_another(model)
    (model / "model.safetensors").write_text("trained anew")
    with pytest.raises(UserError, match=rf"^{model} holds other weights than the search of m was made with, so its .*"
                       r"Search anew: `python -m tangodistill search`\.$"):  # fmt: skip
        read_front(tmp_path, 2).refuse_another(model)
    write_front(tmp_path, [(0.5, [1, 0.5])])  # by an earlier version
    read_front(tmp_path, 2).refuse_another(model)


def test_doctests():
    assert doctest.testmod(front).failed == 0

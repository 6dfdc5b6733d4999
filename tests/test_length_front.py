"""What is taken of a search's front."""

import doctest
import json

import pytest

from tangodistill import length_front
from tangodistill.length_front import RECORD, spread_over_front
from tangodistill.user_error import UserError


def write_front(folder, rows):
    front = [{"lengths": lengths, "time_share": time, "score": 0.5 + time / 4} for time, lengths in rows]
    (folder / RECORD).write_text(json.dumps({"front": front}))


def test_few_are_taken_evenly_by_time_and_none_as_slow_as_the_full_network(tmp_path):
    times = [0.2, 0.21, 0.22, 0.41, 0.6, 0.79, 0.8]
    rows = [(time, [1.0, time]) for time in times]
    write_front(tmp_path, [*rows, (0.9, [1, 1]), (1.01, [1.0, 0.99])])
    assert spread_over_front(tmp_path, 2) == [(1.0, 0.2), (1.0, 0.41), (1.0, 0.6), (1.0, 0.8)]


def test_a_short_front_is_taken_whole(tmp_path):
    write_front(tmp_path, [(0.5, [0.5, 0.25]), (0.6, [1, 0.25])])
    assert spread_over_front(tmp_path, 2) == [(0.5, 0.25), (1.0, 0.25)]
    write_front(tmp_path, [(1.0, [1, 1])])
    assert spread_over_front(tmp_path, 2) == []


def test_what_is_no_search_of_this_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=rf"Cannot read {tmp_path}/{RECORD} \(.*Run `python -m tangodistill search`"):
        spread_over_front(tmp_path, 2)
    (tmp_path / RECORD).write_text("[]")
    with pytest.raises(UserError, match="Cannot read"):
        spread_over_front(tmp_path, 2)
    write_front(tmp_path, [(0.5, [1, 0.5, 0.5])])
    with pytest.raises(UserError, match="length_configuration has 3 entries .* but the model 2 layers"):
        spread_over_front(tmp_path, 2)


def test_doctests():
    assert doctest.testmod(length_front).failed == 0

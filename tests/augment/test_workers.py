import sys
import time

import pytest

from tangodistill.augment.workers import worker_map
from tangodistill.user_error import UserError


def test_results_come_in_order_whatever_the_workers():
    for workers in (1, 2):
        with worker_map(workers) as parallel_map:
            assert list(parallel_map(abs, [-3, 2, -1])) == [3, 2, 1]


def test_an_interruption_does_not_wait_for_what_is_left():
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), worker_map(2) as parallel_map:
        for _ in parallel_map(time.sleep, [0] + [2] * 100):
            raise KeyboardInterrupt
    assert time.monotonic() - began < 60  # of 100 s


def test_ray_maps_in_order():
    pytest.importorskip("ray.data", reason="needs the extra `ray`")
    with worker_map("ray") as parallel_map:
        assert list(parallel_map(abs, [-3, 1, -2])) == [3, 1, 2]


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with worker_map("ray") as parallel_map, pytest.raises(UserError, match=r'pip install "tangodistill\[ray\]"'):
        parallel_map(abs, [1])

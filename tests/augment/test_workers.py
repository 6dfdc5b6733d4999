import time

import pytest

from tangodistill.augment.workers import worker_map


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

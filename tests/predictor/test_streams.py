"""Who draws a stream's rows, and how soon it ends where it is left or fails."""

import sqlite3
import threading
import time
from itertools import count, islice

import pytest
from fake_engine import FakeEngine

from tangodistill.data.chunks import chunks
from tangodistill.predictor import predictor as module
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.predictor.slow_rows import punctual_chunks

NAMES = ("negative", "positive")
each_way = pytest.mark.parametrize("max_wait_ms", [None, 5])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 4)


class Logits(dict):
    """Sure of everything but `t3`; `broken` is an exception of the engine."""

    def __missing__(self, text):
        if text == "broken":
            raise RuntimeError("the engine died")
        return [0.1, 0.0] if text == "t3" else [3.0, 0.0]


@pytest.fixture
def cascade():
    return CascadePredictor([FakeEngine(name, Logits(), []) for name in ("1", "2")], NAMES, 0.7, (2, 2))


class Quiet:
    """Rows, then nothing: who asks for more waits until `over` is set, at most ten seconds."""

    def __init__(self, *texts):
        self.texts, self.over, self.asked = iter(texts), threading.Event(), threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        for text in self.texts:
            return text
        self.asked.set()
        self.over.wait(10)
        raise StopIteration


@pytest.fixture
def quick():
    """Less than a second passes in the test."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 1


def test_rows_are_drawn_in_the_callers_thread(cascade):
    """sqlite3 refuses to be used in another."""
    connection = sqlite3.connect(":memory:")
    connection.execute("create table reviews (text)")
    connection.executemany("insert into reviews values (?)", [(f"t{i}",) for i in range(30)])
    answers = list(cascade.predict_iter(text for (text,) in connection.execute("select text from reviews")))
    assert len(answers) == 30 and {answer.error for answer in answers} == {None}
    assert len(cascade.predict(text for (text,) in connection.execute("select text from reviews"))) == 30


def test_the_sources_own_code_runs_in_the_callers_thread_to_its_end(cascade):
    threads = set()

    def source():
        try:
            for i in count():
                threads.add(threading.current_thread())
                yield f"x{i}"
        finally:
            threads.add(threading.current_thread())

    stream = cascade.predict_iter(source())
    assert len(list(islice(stream, 9))) == 9
    stream.close()
    assert threads == {threading.main_thread()}


def test_only_a_stream_that_may_not_wait_starts_a_thread(cascade):
    before = threading.active_count()
    stream = cascade.predict_iter(f"t{i}" for i in range(30))
    next(stream)
    assert threading.active_count() == before


@each_way
@pytest.mark.parametrize("leave", ["break", "close", "del"])
def test_a_stream_that_is_left_does_not_wait_for_a_quiet_source(cascade, quick, max_wait_ms, leave):
    source = Quiet(*(f"x{i}" for i in range(4)))
    stream = cascade.predict_iter(source, max_wait_ms=max_wait_ms)
    for number, answer in enumerate(stream):
        assert answer.label == "negative"
        if number == 3:  # all that was drawn
            break
    if leave == "close":
        stream.close()
    if leave == "del":
        del stream
    source.over.set()


@each_way
def test_an_engines_error_does_not_wait_for_a_quiet_source(cascade, quick, max_wait_ms):
    source = Quiet("t0", "broken", "t2", "t3")
    with pytest.raises(RuntimeError, match="the engine died"):
        list(cascade.predict_iter(source, max_wait_ms=max_wait_ms))
    source.over.set()


@each_way
def test_what_a_source_raises_is_raised_after_the_answers_before_it(cascade, quick, max_wait_ms):
    def broken():
        yield from (f"x{i}" for i in range(4))
        raise OSError("the pipe is gone")

    answers = []
    with pytest.raises(OSError, match="the pipe is gone"):
        answers.extend(iter(answer for answer in cascade.predict_iter(broken(), max_wait_ms=max_wait_ms)))
    assert len(answers) == 4


def test_a_row_that_is_no_text_ends_predict_at_once(cascade, quick):
    source = Quiet("t0", None, "t1", "t2")
    with pytest.raises(module.UserError, match="row 1: expected a string, found None"):
        cascade.predict(source)
    source.over.set()


def test_a_quiet_sources_thread_ends_with_its_next_row(cascade):
    source, before = Quiet("t0"), threading.active_count()
    stream = cascade.predict_iter(source, max_wait_ms=5)
    next(stream)
    assert source.asked.wait(5)
    stream.close()
    assert threading.active_count() == before + 1
    source.over.set()
    _until(lambda: threading.active_count() == before)


def test_a_thread_that_is_left_before_a_full_chunk_ends(cascade):
    before = threading.active_count()
    stream = cascade.predict_iter((f"x{i}" for i in count()), max_wait_ms=5)
    next(stream)
    del stream
    _until(lambda: threading.active_count() == before)


def _until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_chunks_are_bounded_by_characters_too(cascade, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_CHARACTERS", 1000)
    drawn = []
    stream = cascade.predict_iter(drawn.append(0) or "x" * 600 for _ in range(100))
    next(stream)
    assert len(drawn) == 2


@pytest.mark.parametrize("make", [chunks, lambda *arguments: punctual_chunks(*arguments, 5.0)])
def test_chunks_hold_every_row_once(make):
    rows = ["x" * (i * 7 % 50) for i in range(200)]
    found = list(make(iter(rows), 16, 100))
    assert [row for chunk in found for row in chunk] == rows
    assert all(len(chunk) <= 16 and sum(map(len, chunk[:-1])) < 100 for chunk in found)


def test_a_slow_source_is_drawn_a_chunk_ahead_at_most():
    drawn = []
    stream = punctual_chunks((drawn.append(0) or "x" * 10 for _ in range(10**6)), 100, 50, 0.5)
    next(stream)
    time.sleep(0.05)
    assert len(drawn) <= 11  # a chunk taken, one that waits, and a row that found no room
    stream.close()

import doctest
import io
import os
import subprocess
import sys
import threading
import time

import pytest

from tangodistill import progress
from tangodistill.progress import Progress, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def now(monkeypatch):
    """A clock that a test sets; the thread beside the work is left out."""
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress, "Thread", lambda **_: threading.Thread(target=lambda: None))

    def set_to(seconds):
        clock[0] = seconds

    return set_to


def test_doctests():
    assert doctest.testmod(progress).failed == 0


def test_off_a_terminal_a_line_every_so_often_and_one_at_the_end(now, capsys):
    with Progress("label", total=100) as bar:
        for second in range(1, 51):
            now(second)
            bar.advance(2)
    assert capsys.readouterr().out.splitlines() == [
        "label: 40 of 100, 2/s, 30 s left",
        "label: 80 of 100, 2/s, 10 s left",
        "label: 100 of 100 in 50 s",
    ]


def test_short_work_off_a_terminal_says_nothing(now, capsys):
    with Progress("label", total=2) as bar:
        now(1.9)
        bar.advance(2)
    assert capsys.readouterr().out == ""


def test_work_that_failed_is_not_said_to_be_done(now, capsys):
    with pytest.raises(OSError), Progress("label", total=2):
        now(10)
        raise OSError
    assert capsys.readouterr().out == ""


def test_steps_of_an_earlier_sitting_count_but_not_for_the_rate(now, capsys):
    with Progress("train", total=100, done=90) as bar:
        now(20)
        bar.advance(5, note="loss 0.31")
        now(21)
    first, _ = capsys.readouterr().out.splitlines()
    assert first == "train: 95 of 100, 0.25/s, 20 s left, loss 0.31"


def test_a_time_limit_is_the_most_that_is_left(now, capsys):
    with Progress("search", total=1000, limit_s=60) as bar:
        now(20)
        bar.advance()
    assert "1 of 1,000, 0.05/s, 40 s left" in capsys.readouterr().out


def test_a_slow_step_is_told_of_from_a_thread(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_S", 0.05)
    with Progress("export", total=2):
        time.sleep(0.3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2 and set(lines) == {"export: 0 of 2, 0 s so far"}


def test_beside_timed_work_there_is_no_thread_and_beat_shows_what_is_due(now, capsys):
    before = threading.active_count()
    with Progress("time", total=10, timed=True) as bar:
        assert threading.active_count() == before
        now(19)
        bar.beat()
        assert capsys.readouterr().out == ""
        now(21)
        bar.beat()
        assert capsys.readouterr().out == "time: 0 of 10, 21 s so far\n"


def test_a_terminal_gets_a_bar_and_a_file_no_frames(monkeypatch, capsys):
    assert list(track([1, 2, 3], "label")) == [1, 2, 3]
    assert capsys.readouterr().out == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(track(iter([1, 2, 3]), "label", total=3)) == [1, 2, 3]
    assert "label" in terminal.getvalue() and "3 of 3" in terminal.getvalue() and "\x1b[" in terminal.getvalue()


def test_a_forced_colour_makes_no_frames_in_a_file(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    list(track([1], "label"))
    assert capsys.readouterr().out == ""


def test_work_without_steps_tells_its_time(now, capsys):
    with Progress("read the data") as bar:
        now(21)
        bar.beat()
        now(30)
    assert capsys.readouterr().out.splitlines() == ["read the data: 21 s so far", "read the data: in 30 s"]


@pytest.mark.parametrize("terminal", [True, False])
def test_other_libraries_draw_no_frames_into_a_file(terminal):
    """tqdm looks when it is imported."""
    code = f"""
import sys
sys.stdout.isatty = lambda: {terminal}
from tangodistill.cli import main as cli
cli.main(["--version"])
from tqdm.auto import tqdm
list(tqdm([1]))
"""
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("TQDM_DISABLE", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert ("1/1" in done.stderr) is terminal

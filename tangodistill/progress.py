"""How far long work is: a bar where the output is a terminal, elsewhere a plain line now and then."""

import os
import sys
from collections.abc import Iterable, Iterator
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

FRAME_S = 0.25  # between two frames on a terminal
LINE_S = 20.0  # between two lines elsewhere: with what comes between two bars, nobody waits half a minute for one
SHORT_S = 2.0  # off a terminal, work that took less is not told of


class Progress:
    """Work of so many steps under way: a context manager whose ``advance`` is called after each step.

    It prints to the standard output, from a thread of its own, so that a slow step is told of too. Beside work that is
    being timed there is no thread: ``advance`` and ``beat``, called between two timed runs, show what is due.

    Args:
        title: a word or two for the work.
        total: its steps, None where they are not known.
        done: steps that an earlier sitting had done.
        timed: whether the work is being timed.
        limit_s: seconds after which the work ends, however far it is.
    """

    def __init__(
        self, title: str, total: int | None = None, done: int = 0, timed: bool = False, limit_s: float | None = None
    ):
        self.title, self.total, self.done, self.note = title, total, done, ""
        self._first, self._timed, self._limit_s = done, timed, limit_s
        self._bar: Any = None
        self._lock, self._ended = Lock(), Event()

    def __enter__(self) -> Self:
        self._started = monotonic()
        self._bar = _bar(self.title, self.total) if on_terminal() else None
        self._period = FRAME_S if self._bar else LINE_S
        self._due = self._started + self._period
        if not self._timed:
            Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        with self._lock:
            if self._bar:
                self._draw()
                self._bar.stop()
            elif raised[0] is None and self._elapsed_s >= SHORT_S:
                done = f"{_steps(self.done, self.total)} in {duration(self._elapsed_s)}".strip()
                _say(f"{self.title}: {done}{self._noted}")

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Counts steps, and shows how far the work is where that is due."""
        self.done += steps
        self.note = self.note if note is None else note
        self.beat()

    def beat(self) -> None:
        """Shows how far the work is where that is due, and costs next to nothing where it is not."""
        if monotonic() >= self._due:
            with self._lock:
                if monotonic() >= self._due and not self._ended.is_set():
                    self._due = monotonic() + self._period
                    self._draw()

    @property
    def _elapsed_s(self) -> float:
        return monotonic() - self._started

    @property
    def _noted(self) -> str:
        return f", {self.note}" if self.note else ""

    def _watch(self) -> None:
        while not self._ended.wait(max(self._due - monotonic(), FRAME_S / 10)):
            self.beat()

    def _draw(self) -> None:
        told = pace(self.done, self.total, self._first, self._elapsed_s, self._limit_s) + self._noted
        if self._bar:
            (task,) = self._bar.task_ids
            self._bar.update(task, completed=self.done, told=told, refresh=True)
        else:
            _say(f"{self.title}: {told}")


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """The items, one step of progress each; they are counted where their number is not given."""
    with Progress(title, len(items) if total is None else total) as progress:
        for item in items:
            yield item
            progress.advance()


def pace(done: int, total: int | None, first: int, elapsed_s: float, limit_s: float | None = None) -> str:
    """Step, rate and time left.

    Args: `first`: the steps that were done before; `limit_s` as in `Progress`.

    >>> pace(12, 62, 0, 30.0), pace(7, None, 0, 90.0), pace(40, 62, 40, 8.0)
    ('12 of 62, 0.4/s, 2 min 5 s left', '7, 0.0778/s, 1 min 30 s so far', '40 of 62, 8 s so far')
    """
    rate = (done - first) / elapsed_s if elapsed_s > 0 else 0.0
    left = [] if limit_s is None else [limit_s - elapsed_s]
    if rate and total is not None:
        left.append((total - done) / rate)
    time = f"{duration(max(min(left), 0.0))} left" if left else f"{duration(elapsed_s)} so far"
    return ", ".join(part for part in (_steps(done, total), f"{rate:.3g}/s" if rate else "", time) if part)


def duration(seconds: float) -> str:
    """
    >>> duration(5.4), duration(125), duration(7260)
    ('5 s', '2 min 5 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def no_frames() -> None:
    """Off a terminal, silences the bars of other libraries (all draw by tqdm), and of the processes started here.

    Called before tqdm is imported, which is when it looks.
    """
    if not on_terminal():
        os.environ.setdefault("TQDM_DISABLE", "1")


def on_terminal() -> bool:
    """Whether the standard output can show frames."""
    return bool(sys.stdout and sys.stdout.isatty()) and os.environ.get("TERM") != "dumb"


def _steps(done: int, total: int | None) -> str:
    return f"{done:,} of {total:,}" if total is not None else f"{done:,}" if done else ""


def _say(line: str) -> None:
    print(line, flush=True)


def _bar(title: str, total: int | None) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}")
    bar = Bar(*columns, console=Console(), auto_refresh=False, transient=total is None)
    bar.add_task(title, total=total, told="")
    bar.start()
    return bar

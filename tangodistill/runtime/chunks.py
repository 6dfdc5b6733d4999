"""An input of any length, a bounded chunk of rows at a time; where it comes slowly, no row waits long for others."""

from collections.abc import Iterable, Iterator
from itertools import islice
from queue import Empty, Queue
from threading import Event, Thread
from time import monotonic

_END = object()


def chunks(rows: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` rows, the last one shorter.

    >>> list(chunks("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


def punctual_chunks(rows: Iterable, size: int, max_wait_s: float) -> Iterator[list]:
    """Lists of at most `size` rows, one every `max_wait_s` at the latest, empty where no row came.

    The rows are drawn in a thread of their own, at most two chunks ahead. What they raise is raised here.
    """
    waiting: Queue = Queue(2 * size)
    left = Event()

    def draw() -> None:
        try:
            for row in rows:
                waiting.put(row)
                if left.is_set():
                    return
        except BaseException as error:  # told to whoever reads, whatever it is
            waiting.put((_END, error))
        else:
            waiting.put((_END, None))

    Thread(target=draw, daemon=True).start()
    try:
        end = None
        while end is None:
            chunk, end = _draw_until(waiting, size, monotonic() + max_wait_s)
            yield chunk
        if end[1] is not None:
            raise end[1]
    finally:
        left.set()
        while not waiting.empty():  # so that the thread is not left at a full queue
            waiting.get_nowait()


def _draw_until(waiting: Queue, size: int, deadline: float) -> tuple[list, tuple | None]:
    """Rows that come before the deadline, and the end mark where it is among them."""
    chunk: list = []
    while len(chunk) < size:
        try:
            row = waiting.get(timeout=max(deadline - monotonic(), 0))
        except Empty:
            break
        if isinstance(row, tuple) and row and row[0] is _END:
            return chunk, row
        chunk.append(row)
    return chunk, None

"""Rows that come slowly, drawn in a thread of their own, so that none waits long for others."""

from collections.abc import Iterable, Iterator
from threading import Condition, Thread

from tangodistill.data.chunks import characters_of


def punctual_chunks(rows: Iterable, size: int, characters: int, max_wait_s: float) -> Iterator[list]:
    """Lists as of `chunks`, one every `max_wait_s` at the latest, empty where no row came.

    A thread draws the rows, at most a chunk ahead; what they raise is raised here. Who leaves early doesn't wait for
    it: it ends with the next row that it gets.
    """
    drawn = _Drawn(size, characters)
    Thread(target=drawn.fill, args=(rows,), daemon=True).start()
    try:
        while (chunk := drawn.take(max_wait_s)) is not None:
            yield chunk
    finally:
        drawn.leave()


class _Drawn:
    """What the thread has drawn and nobody has taken yet: a chunk at most."""

    def __init__(self, size: int, characters: int):
        self.size, self.characters = size, characters
        self.rows: list = []
        self.held = 0
        self.ended = self.left = False
        self.error: BaseException | None = None
        self.changed = Condition()

    @property
    def full(self) -> bool:
        return len(self.rows) >= self.size or self.held >= self.characters

    def fill(self, rows: Iterable) -> None:
        """The thread's work."""
        try:
            for row in rows:
                if not self._put(row):
                    return
        except BaseException as error:  # told to whoever reads, whatever it is
            self.error = error
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _put(self, row: object) -> bool:
        """Whether anybody is there to take it."""
        with self.changed:
            self.changed.wait_for(lambda: self.left or not self.full)
            self.rows.append(row)
            self.held += characters_of(row)
            if self.full:
                self.changed.notify_all()
            return not self.left

    def take(self, max_wait_s: float) -> list | None:
        """What came until a chunk was full or the time over; None behind the last row, or the error that it was."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.full, max_wait_s)
            chunk, self.rows, self.held = self.rows, [], 0
            self.changed.notify_all()
        if chunk or not self.ended:
            return chunk
        if self.error is not None:
            raise self.error
        return None

    def leave(self) -> None:
        with self.changed:
            self.left = True
            self.rows = []
            self.changed.notify_all()

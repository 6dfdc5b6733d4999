"""Worker processes that start clean and do not outlive the run."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process


@contextmanager
def worker_map(workers: int) -> Iterator[Callable[..., Iterable]]:
    """A ``map`` over that many processes, results in order; one worker is the calling process itself.

    Processes are spawned, never forked: a fork inherits the locks of torch's threads. They start with the first task.
    """
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C or an error `with` would first do all that waits


def _start() -> None:
    """Leave Ctrl-C to the parent, and end with it even where it is killed: a pool's idle worker would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    connection.wait([parent_process().sentinel])
    os._exit(1)

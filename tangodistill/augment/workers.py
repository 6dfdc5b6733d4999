"""Worker processes that start clean and do not outlive the run."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Literal

from tangodistill.user_error import UserError


@contextmanager
def worker_map(workers: int | Literal["ray"]) -> Iterator[Callable[..., Iterable]]:
    """A ``map`` over that many processes, results in order; one worker is the calling process itself.

    Processes are spawned, never forked: a fork inherits the locks of torch's threads. They start with the first task.
    Ray's tasks run on the cluster that RAY_ADDRESS names, whose machines must share the output folder, or else here.

    Raises:
        UserError: Ray is not installed.
    """
    if workers == "ray":
        yield _ray_map
        return
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C or an error `with` would first do all that waits


def _ray_map(task: Callable, items: Iterable) -> Iterator:
    """``map`` by Ray Data, one item a task."""
    try:
        import ray.data
    except ImportError as error:
        raise UserError('workers is ray, which is not installed: pip install "tangodistill[ray]"') from error
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    rows = ray.data.from_items([{"item": pickle.dumps(item)} for item in items])
    results = rows.repartition(max(rows.count(), 1)).map(
        lambda row: {"result": pickle.dumps(task(pickle.loads(row["item"])))}
    )
    return (pickle.loads(row["result"]) for row in results.iter_rows())


def _start() -> None:
    """Leave Ctrl-C to the parent, and end with it even where it is killed: a pool's idle worker would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    connection.wait([parent_process().sentinel])
    os._exit(1)

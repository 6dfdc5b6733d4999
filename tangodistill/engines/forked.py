"""Things with threads of their own in a process that forks: in the child those threads are gone, and nothing may wait.

A server that loads a cascade and then forks its workers (`gunicorn --preload`) does so.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A thing that is made at first use, and in a forked child once more."""

    def __init__(self, make: Callable[[], T]):
        self._make, self._made, self._lock = make, None, threading.Lock()
        _all.add(self)

    def get(self) -> T:
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return self._made

    def leave_to_parent(self) -> None:
        """Never destroyed either: its destructor would wait for its threads, or crash on them."""
        if self._made is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._made))
        self._made, self._lock = None, threading.Lock()


def with_openmp(function: Callable[..., T], *arguments: Any) -> T:
    """Calls it where OpenMP has threads: the one thread that a child keeps would wait for those it had before."""
    if _is_child and threading.current_thread() is threading.main_thread():
        return _openmp.get().submit(function, *arguments).result()
    return function(*arguments)


def _after_fork() -> None:
    global _is_child
    _is_child = True
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as the tokenizers do by themselves, unless told otherwise
    for each in _all:
        each.leave_to_parent()


_all: "WeakSet[PerProcess]" = WeakSet()
_is_child = False
_openmp = PerProcess(lambda: ThreadPoolExecutor(1))
os.register_at_fork(after_in_child=_after_fork)

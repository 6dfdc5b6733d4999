"""What is printed must not cost what was worked out: streams that outlive their readers, and speak their encoding."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

PLAIN = str.maketrans(
    {"×": "x", "·": ".", "–": "-", "—": "-", "−": "-", "…": "...", "’": "'", "≥": ">=", "≤": "<=", "→": "->", "Δ": "d"}
)


class LastingStream:
    """A text stream on which printing never fails.

    What its encoding lacks is written otherwise: ``×`` as ``x``, another language's letters as their code points. Where
    nobody reads any more (a closed pipe) or nothing can be kept (a full disk under a log), the rest goes nowhere.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            self._stream.write(in_encoding(text, error.encoding))
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._give_up(error)

    def _give_up(self, error: OSError | ValueError) -> None:
        """Lets what is buffered, and what other processes write here, go nowhere too."""
        lost, self._stream = self._stream, open(os.devnull, "w")  # noqa: SIM115
        with suppress(OSError, ValueError):  # no file behind it
            os.dup2(self._stream.fileno(), lost.fileno())
        if isinstance(error, OSError) and error.errno != errno.EPIPE:
            print(f"The output can't be written any more ({error.strerror}); the work goes on.", file=sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def in_encoding(text: str, encoding: str) -> str:
    """The text by the characters that an encoding has.

    >>> in_encoding("2.0× ≥ 90 % – größer", "ascii"), in_encoding("größer", "latin-1")
    ('2.0x >= 90 % - gr\\\\xf6\\\\xdfer', 'größer')
    """
    return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Makes printing safe inside; a closed standard stream becomes one that goes nowhere."""
    streams = [stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr)]  # noqa: SIM115
    out, err = map(LastingStream, streams)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.flush()
            err.flush()

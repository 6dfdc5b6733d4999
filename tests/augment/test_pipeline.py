"""A transfer set depends on its data and seed alone, and its account is true."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import psutil
import pytest

from tangodistill.augment import pipeline, plan
from tangodistill.augment.mask_fill import MaskFillConfig
from tangodistill.augment.nlpaug_bridge import NlpaugConfig
from tangodistill.augment.pipeline import augment, augment_roles
from tangodistill.augment.rules import RulesConfig
from tangodistill.augment.selection import Limits
from tangodistill.data.leaks import normalise
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.transfer import load_transfer_set
from tangodistill.user_error import UserError

RULES = RulesConfig()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    for generator in (RulesConfig, NlpaugConfig):
        monkeypatch.setattr(generator, "rows_per_shard", 16)


def make(roles, output: Path, generators=(RULES,), include_original=True, max_texts=None, seed=0, workers=1):
    augment_roles(roles, output, list(generators), Limits(include_original, max_texts), seed, workers)
    return load_transfer_set(output, labelled=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_same_seed_same_bytes_whatever_the_workers(make_roles, tmp_path):
    make(make_roles(), tmp_path / "a")
    make(make_roles(), tmp_path / "b", workers=2)
    make(make_roles(), tmp_path / "c", seed=1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")
    assert {name for name in contents(tmp_path / "a")} == {
        "data-00000-of-00001.arrow", "dataset_info.json", "inspection.json", "manifest.json", "state.json"
    }  # fmt: skip


def test_opens_as_a_data_set_without_labels(make_roles, tmp_path):
    make(make_roles(), tmp_path / "set")
    rows = datasets.load_from_disk(str(tmp_path / "set"))
    assert rows.column_names == ["text"] and rows.features["text"].dtype == "string"
    assert rows["text"][:60] == make_roles().train["text"][:]
    assert rows.cache_files


def test_every_text_is_new_and_the_manifest_adds_up(make_roles, tmp_path):
    generators = [RulesConfig(), NlpaugConfig("RandomWordAug", {"action": "swap"}, draws_per_text=3)]
    rows, manifest = make(make_roles(), tmp_path / "set", generators)
    assert len({normalise(text) for text in rows["text"]}) == len(rows) == manifest["rows"]
    originals = manifest["originals"]
    assert originals == {"rows": 60, "left_out": 0, "duplicates": 0, "leaked": 0, "kept": 60, "in_set": 60}
    for name, draws in (("rules", 60 * 20), ("nlpaug", 60 * 3)):
        counts = manifest["generators"][name]
        assert counts["draws"] == draws
        assert draws == sum(counts.get(part, 0) for part in ("all_replaced", "duplicates", "leaked", "kept"))
        assert counts["kept"] > 0
    assert manifest["rows"] == 60 + sum(counts["kept"] for counts in manifest["generators"].values())
    assert manifest["settings"]["rules"]["draws_per_text"] == 20
    assert manifest["tagger"]


def test_without_originals_no_original_enters(make_roles, tmp_path):
    rows, manifest = make(make_roles(), tmp_path / "set", include_original=False)
    assert not set(rows["text"]) & set(make_roles().train["text"])
    assert manifest["originals"]["left_out"] == 60 and manifest["originals"]["kept"] == 0


def test_a_cap_keeps_the_originals_and_a_seeded_choice_in_order(make_roles, tmp_path):
    full, whole = make(make_roles(), tmp_path / "full")
    rows, manifest = make(make_roles(), tmp_path / "capped", max_texts=200)
    place = {text: i for i, text in enumerate(full["text"])}
    places = np.array([place[text] for text in rows["text"]])
    assert len(rows) == manifest["rows"] == 200 and manifest["capped"] == whole["rows"] - 200
    assert places[:60].tolist() == list(range(60)) and (np.diff(places) > 0).all()
    assert places[60:].mean() == pytest.approx((60 + len(full)) / 2, rel=0.15)
    few, _ = make(make_roles(), tmp_path / "few", max_texts=10)
    assert len(few) == 10 and set(few["text"]) <= set(make_roles().train["text"])


def test_held_out_texts_are_dropped_and_counted(make_roles, tmp_path):
    roles = make_roles()
    free, _ = make(roles, tmp_path / "free")
    made = [text for text in free["text"][60:] if len(text.split()) > 2][:10]
    roles.report = datasets.Dataset.from_dict({"text": [text.upper() + " !" for text in made]})
    rows, manifest = make(roles, tmp_path / "guarded")
    assert manifest["generators"]["rules"]["leaked"] == 10
    assert not roles.leak_guard().leaks(rows["text"][:]).any()
    assert set(free["text"]) - set(rows["text"]) == set(made)


def test_pairs_come_from_one_row_and_a_third_varies_each_side_alone(make_roles, tmp_path):
    roles = make_roles(pairs=True)
    roles.train = roles.train.remove_columns("text_pair").add_column(
        "text_pair", [f"Q{number} asks about what the new plot of row {number} is" for number in range(60)]
    )
    firsts = {text: i for i, text in enumerate(roles.train["text"])}
    rows, manifest = make(roles, tmp_path / "set", [RulesConfig(0.3, 0, 0, draws_per_text=50)], include_original=False)
    seconds = dict(enumerate(roles.train["text_pair"]))
    kinds = {"first": 0, "second": 0, "both": 0}
    for text, pair in zip(rows["text"], rows["text_pair"], strict=True):
        same_text = text in firsts
        same_pair = pair in seconds.values()
        if same_text:
            source = seconds[firsts[text]].split()
            assert all(word in ("[MASK]", old) for word, old in zip(pair.split(), source, strict=True))
        elif same_pair:
            source = roles.train["text"][list(seconds.values()).index(pair)].split()
            assert all("[MASK]" in word or word == old for word, old in zip(text.split(), source, strict=True))
        kinds["second" if same_text else "first" if same_pair else "both"] += 1
    assert [count / len(rows) for count in kinds.values()] == pytest.approx([1 / 3] * 3, abs=0.04)
    assert manifest["generators"]["rules"]["draws"] == 60 * 50


def test_pairs_leak_as_wholes(make_roles, tmp_path):
    roles = make_roles(pairs=True)
    free, _ = make(roles, tmp_path / "free")
    assert free.column_names == ["text", "text_pair"]
    first, second = free[70], free[80]
    roles.report = datasets.Dataset.from_dict(
        {"text": [first["text"], first["text"]], "text_pair": [first["text_pair"], second["text_pair"]]}
    )
    rows, manifest = make(roles, tmp_path / "guarded")
    assert manifest["generators"]["rules"]["leaked"] == 1
    assert len(rows) == len(free) - 1


def test_goes_on_after_an_error_and_ends_with_the_same_bytes(make_roles, tmp_path, monkeypatch):
    make(make_roles(), tmp_path / "whole")
    write_shard, made = pipeline.write_shard, []

    def fail_at_third(shard):
        if len(made) == 2:
            raise OSError("no space left")
        made.append(shard.number)
        write_shard(shard)

    monkeypatch.setattr(pipeline, "write_shard", fail_at_third)
    with pytest.raises(OSError):
        make(make_roles(), tmp_path / "cut")
    assert not (tmp_path / "cut" / "manifest.json").exists()
    done = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cut/.shards").rglob("rules-*.arrow")}
    assert len(done) == 2
    monkeypatch.setattr(pipeline, "write_shard", write_shard)
    monkeypatch.setattr(plan, "build_corpus", None)  # the tags are kept too
    make(make_roles(), tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_other_settings_start_anew_and_equal_ones_do_nothing(make_roles, tmp_path, monkeypatch):
    make(make_roles(), tmp_path / "set", seed=1)
    make(make_roles(), tmp_path / "set", seed=0)
    make(make_roles(), tmp_path / "whole", seed=0)
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")
    monkeypatch.setattr(pipeline, "prepare", None)
    make(make_roles(), tmp_path / "set", seed=0)


COMMAND = """
import sys
from tangodistill.augment.pipeline import augment
from tangodistill.augment.rules import RulesConfig
from tangodistill.data.sources import DatasetConfig
RulesConfig.rows_per_shard = 4
augment(DatasetConfig(sys.argv[1]), sys.argv[2], workers=2)
"""


def test_files_that_a_generator_reads_count_by_what_they_hold(make_roles, tmp_path, monkeypatch):
    """Word vectors of mask_fill, and whatever an augmenter of nlpaug is told to read."""
    vectors = tmp_path / "vectors.txt"
    generators = [
        MaskFillConfig("some/hub-model", glove=str(vectors)),
        NlpaugConfig("WordEmbsAug", {"model_type": "glove", "nested": {"model_path": str(vectors)}}),
    ]
    settings = lambda: pipeline._settings(make_roles(), generators, Limits(), 0)  # noqa: E731
    vectors.write_text("film 1 2 3")
    before = settings()
    assert settings() == before and set(before["files"]) == {"mask_fill", "nlpaug"}
    vectors.write_text("film 1 2 4")
    after = settings()
    assert {name for name in before if before[name] != after[name]} == {"files"}
    assert all(before["files"][name] != after["files"][name] for name in before["files"])


def test_goes_on_after_kill_9_and_leaves_no_worker_behind(make_roles, tmp_path, monkeypatch):
    data = str(tmp_path / "data.csv")
    make_roles(train=1500).train.select_columns(["text", "label"]).to_csv(data)
    command = [sys.executable, "-c", COMMAND, data, str(tmp_path / "cut")]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("cut/.shards/*/rules-000003.arrow")):
        assert run.poll() is None
        time.sleep(0.005)
    workers = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert workers and not psutil.wait_procs(workers, timeout=20)[1]
    assert not (tmp_path / "cut/manifest.json").exists()
    monkeypatch.setattr(RulesConfig, "rows_per_shard", 4)
    for name in ("cut", "whole"):
        augment(DatasetConfig(data), str(tmp_path / name), workers=1)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert json.loads((tmp_path / "cut/manifest.json").read_text())["rows"] > 10_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rules": None},
            "rules, nlpaug, mask_fill and lm are all null: nothing would be generated. Give at least one of them.",
        ),
        ({"max_texts": 0}, "max_texts is 0: it must be at least 1."),
        ({"workers": 0}, "workers is 0: it must be at least 1."),
        ({"seed": -1}, "seed is -1: it must be at least 0."),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_any_work(settings, message, tmp_path):
    with pytest.raises(UserError) as error:
        augment(DatasetConfig("nowhere.csv"), str(tmp_path / "out"), **settings)
    assert str(error.value) == message

import json
from importlib.metadata import version

import psutil
import pytest

from tangodistill.latency import machine


def test_the_record_is_json_and_whole():
    record = machine.describe_machine()
    assert json.loads(json.dumps(record)) == record
    assert record["cpu"] and record["logical_cores"] >= 1 and record["torch_threads"] >= 1
    assert record["memory_gib"] > 0


@pytest.mark.parametrize(("percent", "busy"), [(0.0, False), (19.0, False), (60.0, True)])
def test_busy_says_that_others_take_the_cores(monkeypatch, percent, busy):
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: percent)
    record = machine.describe_machine()
    assert (record["busy"], record["others_cpu_share"]) == (busy, percent / 100)


def test_the_cpu_is_named_where_proc_has_no_name(monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda path: None)
    assert machine.cpu_model()


def test_versions():
    versions = machine.library_versions()
    assert versions["torch"] == version("torch")
    assert set(versions) == {"python", "torch", "transformers", "tokenizers", "onnxruntime", "openvino", "numpy"}

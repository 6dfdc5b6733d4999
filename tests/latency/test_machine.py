import json
from importlib.metadata import version

from tangodistill.latency import machine


def test_the_record_is_json_and_whole():
    record = machine.describe_machine()
    assert json.loads(json.dumps(record)) == record
    assert record["cpu"] and record["logical_cores"] >= 1 and record["torch_threads"] >= 1
    assert record["memory_gib"] > 0


def test_the_cpu_is_named_where_proc_has_no_name(monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda path: None)
    assert machine.cpu_model()


def test_versions():
    versions = machine.library_versions()
    assert versions["torch"] == version("torch")
    assert set(versions) == {"python", "torch", "transformers", "tokenizers", "onnxruntime", "openvino", "numpy"}

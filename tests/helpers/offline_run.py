"""Reads what W&B wrote offline, from its own file."""

import json
import struct
import zlib
from pathlib import Path

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32768, 7
FULL, LAST = 1, 4


def records(path):
    """The protobuf records of a .wandb file: 7 bytes of header, then blocks of checked, possibly split chunks."""
    content = path.read_bytes()
    assert content[:HEADER] == struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
    position, record = HEADER, b""
    while position + HEADER <= len(content):
        rest_of_block = BLOCK - position % BLOCK
        if rest_of_block < HEADER:
            position += rest_of_block
            continue
        checksum, length, kind = struct.unpack_from("<IHB", content, position)
        if kind == 0:
            position += rest_of_block
            continue
        position += HEADER
        chunk = content[position : position + length]
        assert zlib.crc32(bytes([kind]) + chunk) == checksum
        position += length
        record += chunk
        if kind in (FULL, LAST):
            parsed = wandb_internal_pb2.Record()
            parsed.ParseFromString(record)
            yield parsed
            record = b""


def key_of(item):
    return item.key or ".".join(item.nested_key)


def read_offline_runs(folder):
    """What each offline run below a folder holds."""
    return [read_file(path) for path in sorted(Path(folder).glob("wandb/offline-run-*/*.wandb"))]


def read_offline_run(folder):
    """What the only one holds."""
    (held,) = read_offline_runs(folder)
    return held


def read_file(path):
    """History rows, config, summary, metric definitions, logged files, artifacts."""
    held = {
        "history": [],
        "config": {},
        "summary": {},
        "metrics": {},
        "files": [],
        "artifacts": [],
        "folder": path.parent / "files",
    }
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            held["run"] = record.run
            held["config"] |= {key_of(item): json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            held["history"].append({key_of(item): json.loads(item.value_json) for item in record.history.item})
        elif kind in ("config", "summary"):
            held[kind] |= {key_of(item): json.loads(item.value_json) for item in getattr(record, kind).update}
        elif kind == "artifact":
            held["artifacts"].append(record.artifact)
        elif kind == "metric":
            held["metrics"][record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "files":
            held["files"] += [file.path for file in record.files.files]
    return held

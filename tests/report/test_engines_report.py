"""The engines' section of the report."""

import json

from tangodistill.report.engines import engine_tables

AGREEMENTS = [
    {"tier": 1, "key": "onnxruntime-fp32", "metric": 0.842, "torch_metric": 0.842, "same_labels": 1.0,
     "max_difference": 1e-6, "refused": None},
    {"tier": 2, "key": "onnxruntime-int8", "metric": 0.85, "torch_metric": 0.868, "same_labels": 0.96,
     "max_difference": 3.2, "refused": "loses 0.0180 of the metric; 0.002 is allowed"},
]  # fmt: skip
TIMINGS = [
    {"tier": 1, "key": "onnxruntime-fp32", "threads": 1, "batch_size": 32, "throughput_batch1_per_s": 5000.0,
     "throughput_best_batch_per_s": 17900.0, "chosen": True},
    {"tier": 1, "key": "torch-fp32", "threads": 2, "batch_size": 64, "throughput_batch1_per_s": 900.0,
     "throughput_best_batch_per_s": 5600.0, "chosen": False},
]  # fmt: skip


def written(run):
    for stage, name, content in (
        ("export", "export.json", AGREEMENTS),
        ("tune", "tune.json", {"cpus": {"Abacus 9000": {"rows": TIMINGS, "texts": 256, "repeats": 3}}}),
    ):
        (run / stage).mkdir()
        (run / stage / name).write_text(json.dumps(content))
    return run


def test_both_tables_say_what_was_found(tmp_path):
    shown = engine_tables(written(tmp_path))
    for words in ("tier 2 · onnxruntime-int8", "96.0", "3.2", "Abacus 9000, 3 repeats on 256", "5,000", "17,900"):
        assert words in shown, words
    assert shown.index("tier 2 · onnxruntime-int8") < shown.index(">no<")
    assert shown.count("class=strong") == 1


def test_a_run_without_them_has_no_section(tmp_path):
    assert engine_tables(tmp_path) == ""


def test_length_configurations_that_were_compared_show_their_cascades(tmp_path):
    found = json.loads((written(tmp_path) / "tune/tune.json").read_text())
    assert "its cascade defers" not in engine_tables(tmp_path)
    short = {"key": "onnxruntime-fp32@1-0.5", "deferral_rate": 0.125, "cascade_ms": 2.5, "cascade_best_batch_ms": 1.75}
    found["cpus"]["Abacus 9000"]["rows"].append({**TIMINGS[0], **short, "chosen": False})
    (tmp_path / "tune/tune.json").write_text(json.dumps(found))
    shown = engine_tables(tmp_path)
    for words in ("tier 1 · onnxruntime-fp32@1-0.5", "its cascade defers", "12.5", "2.5", "1.75"):
        assert words in shown, words

"""The transfer set in the report's section on the data."""

import doctest
import json
import shutil

from tangodistill.report import transfer
from tangodistill.report.html import write_report
from tangodistill.report.transfer import inspection_tables

FOUND = {
    "rows": 754102,
    "distinct": {
        "rows": {"set": 100000, "originals": 65334},
        "set": [0.0123, 0.2345, 0.5678],
        "originals": [0.0234, 0.3456, None],
    },
    "unknown": {"vocabulary": 9996, "distinct_words": 14321, "share": 0.00789},
    "lengths": [
        {"from": 1, "to": 1, "set": 300, "originals": 1},
        {"from": 512, "to": None, "set": 100, "originals": 3},
    ],
    "near_report": {
        "similarity": 0.8,
        "rows": 2345,
        "share": 0.00311,
        "report_rows": 678,
        "examples": [
            {
                "similarity": 0.9091,
                "text": "<script>near</script>",
                "text_pair": "a & b",
                "report": {"text": "<b>reported</b>", "text_pair": "second"},
            }
        ],
    },
    "samples": [{"text": "<i>a [MASK] film</i>"}],
}
LABELLED = {"key": "k", "confidence": {"edges": [0.5, 0.75, 1.0], "counts": [1000, 3000], "mean": 0.8765}}


def written(run, found=FOUND, labelled=LABELLED):
    for stage, name, content in (("augment", "inspection.json", found), ("label", "manifest.json", labelled)):
        (run / stage).mkdir(parents=True)
        (run / stage / name).write_text(json.dumps(content), encoding="utf-8")
    return run


def test_every_figure_is_shown(tmp_path):
    shown = inspection_tables(written(tmp_path), texts=True)
    for words in (
        *("754,102", "100,000", "65,334", "1.2 %", "23.4 %", "56.8 %", "34.6 %", "9,996", "14,321", "0.79 %"),
        *("2,345 (0.311 %)", "678", "512 and more", "75.0 %", "25.0 %", "0.50–0.75", "1,000", "0.8765", "0.91"),
    ):
        assert words in shown, words


def test_texts_are_escaped(tmp_path):
    shown = inspection_tables(written(tmp_path), texts=True)
    for words in (
        *("&lt;script&gt;near&lt;/script&gt; | a &amp; b", "&lt;b&gt;reported&lt;/b&gt; | second"),
        "&lt;i&gt;a [MASK] film&lt;/i&gt;",
    ):
        assert words in shown, words
    assert not any(tag in shown for tag in ("<script", "<b>", "<i>"))


def test_what_is_absent_is_left_out(tmp_path):
    assert inspection_tables(tmp_path) == ""
    (tmp_path / "augment").mkdir()
    (tmp_path / "augment" / "inspection.json").write_text("not json")
    assert inspection_tables(tmp_path) == ""
    nothing = {**FOUND, "samples": [], "lengths": [], "near_report": {**FOUND["near_report"], "examples": []}}
    shown = inspection_tables(written(tmp_path / "other", nothing, {"key": "k"}), texts=True)
    assert shown.count("<table") == 1


def test_the_section_is_in_the_report(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "demo")
    written(run)
    page = write_report(run, texts=True).read_text(encoding="utf-8")
    assert "The rows nearest to a report text" in page and "0.8765" in page
    assert "confidence › edges" not in page and "manifest of stage label" in page


def test_doctests():
    assert doctest.testmod(transfer).failed == 0

import doctest
import json
import re
import shutil
from html import escape
from html.parser import HTMLParser

import pytest
from rich.console import Console
from synthetic_run import random_logits, write_run
from test_transfer_report import FOUND

from tangodistill.cli.report_verb import report
from tangodistill.report import markup
from tangodistill.report.figures import cascade_figures
from tangodistill.report.headline import headline, lead
from tangodistill.report.html import write_report
from tangodistill.report.run_files import read_measured
from tangodistill.report.terminal import summary_table
from tangodistill.user_error import UserError

VOID = {"meta", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """A page's text, ids, addresses and headings; fails on tags that do not close in order."""

    def __init__(self, path):
        super().__init__()
        self.text, self.ids, self.addresses, self.headings, self.attributes, self.open = "", [], [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.attributes.append((tag, attrs))
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.addresses += [attrs[key] for key in ("href", "src", "xlink:href") if key in attrs]
        self.headings += [tag] if re.fullmatch("h[1-6]", tag) else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data + " "


@pytest.fixture(scope="module")
def page(finished_run, tmp_path_factory):
    return Page(write_report(finished_run, tmp_path_factory.mktemp("page")))


@pytest.fixture
def own_run(finished_run, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(finished_run, tmp_path / "demo")


def change_summary(run, change):
    path = run / "cascade" / "summary.json"
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))


def test_page_and_figures_lie_in_the_runs_report_folder(own_run):
    path = write_report(own_run)
    assert path == own_run / "report" / "report.html"
    names = ("tradeoff", "throughput", "errors_by_confidence")
    assert {file.name for file in path.parent.iterdir()} == {"report.html"} | {
        f"{n}.{e}" for n in names for e in ("png", "svg")
    }


def test_page_needs_nothing_from_elsewhere(page):
    assert page.addresses and all(address.startswith("#") for address in page.addresses)
    assert {address[1:] for address in page.addresses} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "<script" not in page.source and "@import" not in page.source
    assert not re.search(r"url\((?!#)", page.source)


def test_page_is_accessible(page):
    assert ("html", {"lang": "en"}) in page.attributes
    assert page.headings[0] == "h1" and page.headings.count("h1") == 1 and set(page.headings) == {"h1", "h2"}
    images = [attrs for tag, attrs in page.attributes if tag == "svg"]
    assert len(images) == 3 and all(a["role"] == "img" and len(a["aria-label"]) > 60 for a in images)


def test_what_matters_stands_before_all_tables(own_run):
    warned = "the student is at chance on the selection role."
    change_summary(own_run, lambda s: s.update(load={"busy": True}, warnings=[warned]))
    measured, source = read_measured(own_run / "cascade"), Page(write_report(own_run)).source
    header = source[: source.index("<main>")].replace("&nbsp;", " ")
    assert escape(headline(measured)) in header and escape(lead(measured)) in header
    assert f"No guarantee: {measured.summary['chosen_with_confidence']['reason']}." in lead(measured)
    assert f'<p class="warning">Warning: {warned}</p>' in header
    assert "Warning: other processes were at work" in header


def test_numbers_stand_with_split_and_count(page):
    captions = [attrs["aria-label"] for tag, attrs in page.attributes if attrs.get("class") == "scroll"]
    of_results = [caption for caption in captions if "report (" in caption]
    assert len(of_results) == 8 and all(
        "test_labelled.tsv" in caption and "n = 400" in caption for caption in of_results
    )


def test_main_table_holds_the_numbers_of_the_files(finished_run, page):
    measured = read_measured(finished_run / "cascade")
    first, second = measured.first_only, measured.second_only
    row = re.search(r"Accuracy \(×100\)</th>(.*?)</tr>", page.source)[1]
    chosen = measured.summary["chosen"]["metric_value"]
    spans = [measured.intervals[name] for name in ("tier2/accuracy", "tier1/accuracy", "chosen/metric_value")]
    assert re.findall(r"<td>(.*?)</td>", row) == [
        f"{100 * value:.1f}<small>{100 * low:.1f}–{100 * high:.1f}</small>"
        for value, (low, high) in zip((second["accuracy"], first["accuracy"], chosen), spans, strict=True)
    ]


def test_every_speedup_and_share_in_the_tables_has_an_interval(page):
    for row in ("of the teacher’s", "Speed, one at a time"):
        cells = re.findall(r"<td>(.*?)</td>", re.search(rf"{row}</th>(.*?)</tr>", page.source)[1])
        assert all("<small>" in cell for cell in cells[1:])
    for row in ("99 % · Cascade", "98 % · Random", "99 % · Oracle"):
        assert re.search(rf"{row}</th>(.*?)</tr>", page.source)[1].count("<small>") == 4
    assert re.search(r"Chosen on calibration</th>(.*?)</tr>", page.source)[1].count("<small>") == 5


def test_which_batch_speed_is_measured_and_which_predicted(finished_run, page):
    measured = read_measured(finished_run / "cascade")
    chosen = measured.summary["chosen"]
    ran, predicted = (f"{400 / chosen[key]:,.0f}" for key in ("measured_s", "predicted_s"))
    assert re.search(rf"Examples/s, best batch</th>.*?<td>{ran}</td></tr>", page.source)
    assert re.search(rf"the same, predicted</th>.*?<td>{predicted}</td></tr>", page.source)
    texts = [text.get_text() for text in cascade_figures(measured)["throughput"].axes[0].texts]
    assert f"{ran}/s" in texts and f"{predicted}/s" in texts


def test_wide_tables_stand_as_blocks_on_a_phone(page):
    (narrow,) = re.findall(r"@media \(max-width: 40rem\) \{(.*?)\n\}", page.source, re.DOTALL)
    assert ".wide td::before { content: attr(data-label)" in narrow and ".caption.matrix::after" in narrow
    wide = re.findall(r'<table class="numbers wide">(.*?)</table>', page.source)
    assert wide and all(body.count("<td data-label=") == body.count("<td") > 0 for body in wide)


def test_no_text_of_the_users_is_printed_unless_asked_for(own_run):
    secret = {"text": "my secret letter", "report": {"text": "her secret letter"}, "similarity": 0.9}
    near = {**FOUND["near_report"], "examples": [secret]}
    found = {**FOUND, "samples": [{"text": "a secret sample"}], "near_report": near}
    (own_run / "augment").mkdir()
    (own_run / "augment" / "inspection.json").write_text(json.dumps(found))
    report(own_run)
    assert "secret" not in (own_run / "report" / "report.html").read_text(encoding="utf-8")
    report(own_run, texts=True)
    assert (own_run / "report" / "report.html").read_text(encoding="utf-8").count("secret") == 3


CERTAIN = {
    **{"confidence": 0.95, "method": "an exact paired test, valid at any n", "threshold": 0.987654, "reason": None},
    **{"deferral_rate": 0.5, "metric_value": 0.8, "speedup": 1.9, "speedup_best_batch": 2.1, "predicted_s": 1.0},
}


def test_what_is_certain_of_unseen_data_stands_beside_the_plain_choice(own_run):
    change_summary(own_run, lambda s: s.update(chosen_with_confidence=CERTAIN))
    page = Page(write_report(own_run))
    assert "With 95 % confidence, a threshold of 0.987654 meets the target on unseen data" in page.text
    assert "defers 50.0 % and is 2.1× faster at best batch" in page.text
    row = re.search(r"The same with confidence</th>(.*?)</tr>", page.source)[1]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)[:3]
    assert [cell.partition("<small>")[0] for cell in cells] == ["0.987654", "50.0 %", "80.0"]


def test_a_guarantee_that_cannot_be_given_says_why(finished_run, page):
    reason = read_measured(finished_run / "cascade").summary["chosen_with_confidence"]["reason"]
    assert reason.startswith("200 calibration examples are too few") and f"No guarantee: {reason}." in page.text
    assert "The same with confidence" not in page.text


def test_a_run_from_before_guarantees_still_has_its_page(own_run):
    change_summary(own_run, lambda s: s.pop("chosen_with_confidence"))
    text = Page(write_report(own_run)).text
    assert "guarantee" not in text and "with confidence" not in text


@pytest.mark.parametrize("certain", [CERTAIN, {**CERTAIN, "threshold": None, "reason": "7 examples are too few"}, None])
def test_the_terminal_tells_it_too(finished_run, certain):
    summary = read_measured(finished_run / "cascade").summary
    summary["chosen"] |= {"speedup": 2.0, "measured_speedup_best_batch": 2.0}
    summary |= {"chosen_with_confidence": certain} if certain else {}
    console = Console(width=120)
    with console.capture() as captured:
        console.print(summary_table(summary))
    rows = [line for line in captured.get().splitlines() if "cascade, 95 % sure" in line]
    assert len(rows) == (certain is CERTAIN)
    if rows:
        assert "1.9×" in rows[0] and "2.1×" in rows[0] and "400" in rows[0] and "50.0 %" in rows[0]
    assert ("7 examples are too few" in captured.get()) == (certain is not None and certain is not CERTAIN)


def test_missing_speedup_gives_its_reason(own_run):
    nothing = dict.fromkeys(("batch1", "best_batch", "attained_batch1", "attained_best_batch"))
    change_summary(own_run, lambda s: s.update(speedup_at_99={**nothing, "reason": "no operating point reaches 0.95"}))
    assert "Cascade at 99 %: no operating point reaches 0.95." in Page(write_report(own_run)).text


@pytest.mark.parametrize(("slower", "warned"), [(1.09, False), (1.11, True), (0.85, True)])
def test_wrong_prediction_is_flagged(tmp_path, slower, warned):
    write_run(tmp_path, *random_logits(60, seed=0), slower=slower)
    assert ("Warning: the chosen operating point took" in Page(write_report(tmp_path)).text) == warned


def test_text_from_outside_is_escaped(own_run):
    evil = '<script>alert("1")</script> & $a$b \\1 -->'
    change_summary(own_run, lambda s: s.update(task=evil, roles={"train": evil}, machine={evil: evil}))
    page = Page(write_report(own_run))
    assert "<script" not in page.source
    assert evil in page.text


def test_optional_files_are_shown(own_run):
    (own_run / "augment").mkdir()
    (own_run / "augment" / "manifest.json").write_text(json.dumps({"rules": {"kept": 118211}}))
    (own_run / "augment" / "stage.json").write_text(json.dumps({"stage": "augment", "settings": {"seed": 17}}))
    (own_run / "label").mkdir()
    (own_run / "label" / "manifest.json").write_text("not json")
    shutil.copytree(own_run / "cascade", own_run / "cascade" / "paper")
    other = {"name": "student_paper", "metrics": {"accuracy": 0.7123, "f1": 0.7, "mcc": 0.4}}
    change_summary(own_run, lambda s: s.update(student_settings=[other], roles={"train": "train.tsv, 60,614 rows"}))
    text = Page(write_report(own_run)).text
    for shown in (
        "rules › kept",
        "118,211",
        "settings › seed",
        "paper’s protocol",
        "student_paper",
        "71.2",
        "train.tsv, 60,614 rows",
    ):
        assert shown in text


def test_run_without_a_cascade_names_the_command(tmp_path):
    with pytest.raises(UserError, match=r"summary\.json not found.*python -m tangodistill run"):
        write_report(tmp_path)


def test_broken_file_names_the_command(own_run):
    (own_run / "cascade" / "operating_points.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="broken file.*--force cascade"):
        write_report(own_run)


def test_doctests():
    assert doctest.testmod(markup).failed == 0


def test_summary_with_a_key_missing_names_the_key(own_run):
    change_summary(own_run, lambda s: s.pop("oracle"))
    with pytest.raises(UserError, match="broken file.*summary.json lacks oracle.*--force cascade"):
        write_report(own_run)

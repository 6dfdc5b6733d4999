import csv
import doctest
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_deebert import add_deebert
from synthetic_dynamic import add_dynamic
from synthetic_paper import BERT, BILSTM, MINILM, ROBERTA, TINYBERT4, write_paper_run, write_span_run

from tangodistill.cli import main as cli
from tangodistill.cli import verbs
from tangodistill.paper import report as paper
from tangodistill.paper import runs as paper_runs
from tangodistill.paper import tables as paper_tables
from tangodistill.paper.figures import paper_figures
from tangodistill.paper.report import write_paper
from tangodistill.paper.runs import read_rows
from tangodistill.paper.values import PUBLISHED
from tangodistill.report import html
from tangodistill.report.run_files import read_measured
from tangodistill.user_error import UserError

FILES = {
    "paper.md",
    *(f"table{i}.csv" for i in (1, 2, 3)),
    *(f"figure{i}.{e}" for i in (2, 3, 4) for e in ("png", "svg")),
}


@pytest.fixture(autouse=True)
def quick_and_untracked(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Four runs of the paper's data sets, and one of other data."""
    folder = tmp_path_factory.mktemp("runs")
    write_paper_run(folder / "cola", "cola", "mcc", (TINYBERT4, MINILM))
    write_paper_run(folder / "first_try", "mrpc", "f1", (BILSTM, BERT))
    write_span_run(folder / "squad")
    write_paper_run(folder / "sst2", "sst2")
    write_paper_run(folder / "reviews", "custom", tiers=(BILSTM, MINILM))
    add_deebert(folder / "cola")
    for name in ("cola", "squad"):
        add_dynamic(folder / name)
    return folder


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        write_paper(sorted(runs.iterdir()), folder)
    return folder


def summary_of(run):
    return json.loads((run / "cascade" / "summary.json").read_text())


def csv_rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["data"]: row for row in csv.DictReader(stream)}


def markdown_rows(folder, row):
    """The cells of each table line that begins with a row's name."""
    lines = (folder / "paper.md").read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")][1:] for line in lines if line.startswith(f"| {row} |")
    ]


def test_every_file_lies_in_the_folder_and_nothing_else(written):
    assert {path.name for path in written.iterdir()} - {"wandb"} == FILES
    for path in written.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 50_000


def test_the_published_numbers_are_those_of_the_paper(written):
    table1 = markdown_rows(written, "QNLI")[0]
    assert table1 == ["–", "2,095", "–", "104.7", "–", "5.5"]
    at_99, at_98, batch1, best = markdown_rows(written, "QNLI")[1:]
    assert at_99 == ["–", "Accuracy", "–", "91.4", "–", "1.5×", "–", "–", "1.0×", "–", "2.6×", "–", "3.9×"]
    assert at_98 == ["–", "Accuracy", "–", "91.4", "–", "1.6×", "–", "–", "1.6×", "–", "3.2×", "–", "4.1×"]
    assert batch1 == ["–", "–", "3", "–", "7", "–", "9"]
    assert best == ["–", "–", "12", "–", "38", "–", "50"]
    assert [each.row for each in PUBLISHED] == ["CoLA", "MRPC (BERT)", "MRPC (RoBERTa)", "QNLI", "SQuAD", "SST-2"]


def test_a_row_without_a_run_is_empty_in_csv(written):
    row = csv_rows(written / "table2.csv")["QNLI"]
    published = {name: value for name, value in row.items() if value}
    assert published == {
        "data": "QNLI", "metric": "Accuracy", "tier2_paper": "0.914",
        **{f"{kind}_{share}_paper": str(each.speedups[kind][place]) for each in PUBLISHED if each.row == "QNLI"
           for kind in each.speedups for place, share in enumerate((99, 98))},
    }  # fmt: skip


def test_our_numbers_are_the_runs_own(runs, written):
    summary, row = summary_of(runs / "cola"), csv_rows(written / "table2.csv")["CoLA"]
    sources = {
        "cascade": summary,
        **{kind: summary[kind] for kind in ("random", "oracle", "deebert", "dynamic_tinybert")},
    }
    for share in ("99", "98"):
        for kind, source in sources.items():
            assert float(row[f"{kind}_{share}"]) == pytest.approx(source[f"speedup_at_{share}"]["batch1"])
            assert float(row[f"{kind}_{share}_low"]) <= float(row[f"{kind}_{share}_high"])
    assert float(row["tier2_metric"]) == pytest.approx(summary["tiers"][1]["metrics"]["mcc"])
    assert (row["tier1"], row["tier2"], row["n"]) == ("TinyBERT4", "MiniLM-L6", "200")
    at_99 = markdown_rows(written, "CoLA")[1]
    assert at_99[:2] == [r"TinyBERT4 → MiniLM-L6\*", "MCC"]
    assert at_99[4].startswith(f"{summary['deebert']['speedup_at_99']['batch1']:.1f}× [")
    assert at_99[6].startswith(f"{summary['dynamic_tinybert']['speedup_at_99']['batch1']:.1f}× [")
    assert at_99[9].startswith(f"{summary['speedup_at_99']['batch1']:.1f}× [")


def test_what_stands_beside_the_cascade_has_intervals_too(runs, written):
    for name, kinds in (("CoLA", ("deebert", "dynamic_tinybert")), ("SQuAD", ("dynamic_tinybert",))):
        row = csv_rows(written / "table2.csv")[name]
        for kind in kinds:
            low, value, high = (float(row[f"{kind}_98{end}"]) for end in ("_low", "", "_high"))
            assert low <= value <= high and low < high


def test_examples_beside_the_cascade_make_the_points(runs):
    """Two ways to one curve: the points that the stage wrote, and the examples behind them."""
    for name in ("cola", "squad"):
        measured = read_measured(runs / name / "cascade")
        curves = measured.examples.curves()
        for kind, points in (("deebert", measured.early_exit), ("dynamic_tinybert", measured.dynamic)):
            assert (kind in curves) == (points is not None)
            if points is not None:
                np.testing.assert_allclose(curves[kind], (points["speedup"], points[measured.metric]))


def test_throughput_is_the_second_tiers_times_the_speedup(runs, written):
    summary, row = summary_of(runs / "sst2"), csv_rows(written / "table3.csv")["SST-2"]
    second = pd.read_parquet(runs / "sst2" / "cascade" / "operating_points.parquet").iloc[-1]
    for batch, key in (("batch1", "throughput_per_s"), ("best_batch", "throughput_best_batch_per_s")):
        assert float(row[f"{batch}_tier2"]) == pytest.approx(second[key])
        assert float(row[f"{batch}_99"]) == pytest.approx(second[key] * summary["speedup_at_99"][batch])
    assert (float(row["batch1_99_paper"]), float(row["best_batch_98_paper"])) == (36, 163)


def test_sizes_are_in_thousands(written):
    assert markdown_rows(written, "SST-2")[0] == ["300", "800", "65.3", "67.4", "0.2", "1.8"]
    assert markdown_rows(written, "SQuAD")[0] == ["0", "0", "–", "88.1", "0.1", "10.7"]  # nothing to augment there
    assert csv_rows(written / "table1.csv")["SST-2"]["train"] == "65.334"


def test_spans_stand_in_every_table(runs, written):
    summary, row = summary_of(runs / "squad"), csv_rows(written / "table2.csv")["SQuAD"]
    assert float(row["cascade_99"]) == pytest.approx(summary["speedup_at_99"]["batch1"])
    assert 1 <= float(row["random_99"]) <= float(row["cascade_99"]) <= float(row["oracle_99"])
    assert float(row["tier2_metric_low"]) < float(row["tier2_metric"]) < float(row["tier2_metric_high"])
    assert (row["metric"], row["tier1"], row["deebert_99_paper"]) == ("F1", "Dynamic-TinyBERT4", "")


def test_other_data_get_a_row_below(written):
    names = list(csv_rows(written / "table2.csv"))
    assert names == [*(each.row for each in PUBLISHED), "reviews"]
    row = csv_rows(written / "table3.csv")["reviews"]
    assert row["batch1_99"] and not any(value for name, value in row.items() if name.endswith("_paper"))


def test_each_caption_names_data_and_machine(written):
    page = (written / "paper.md").read_text(encoding="utf-8")
    source = "- CoLA: report (test_labelled.tsv, 200 rows), n = 200; TinyBERT4 → MiniLM-L6 (the paper: BERT); times on "
    assert page.count(f"{source}AMD EPYC 9R14, 2 cores; from `") == 6
    assert page.count("The paper's times come from other hardware") == 4


def test_panels_without_a_run_say_so():
    rows = read_rows([])
    figures = paper_figures(rows)
    assert [len(figure.axes) for figure in figures.values()] == [6, 6, 6]
    assert all(axes.texts[-1].get_text() == "no run" for figure in figures.values() for axes in figure.axes)


def _key(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_the_key_of_figure_2_names_what_is_drawn_alone(runs):
    rows = [row for row in read_rows([runs / "squad"]) if row.run]
    (row,) = rows
    key = _key(paper_figures(rows)["figure2"])
    assert key == {"cascade", "random", "oracle", "Dynamic-TinyBERT", "second tier alone", "99 % and 98 % of it"}


def test_figure_2_has_all_curves(runs):
    rows = read_rows([runs / "cola", runs / "squad"])
    figures = paper_figures(rows)
    drawn = [{line.get_gid() for line in axes.lines if line.get_gid()} for axes in figures["figure2"].axes]
    spans = {"cascade", "random", "oracle", "dynamic_tinybert"}
    classes = spans | {"deebert"}
    assert drawn == [classes, set(), set(), set(), spans, set()]
    assert "DeeBERT" in _key(figures["figure2"])
    heat = {row.name: len(axes.patches) for row, axes in zip(rows, figures["figure4"].axes, strict=True)}
    assert heat["CoLA"] == heat["SQuAD"] == 20 and heat["SST-2"] == 0


@pytest.mark.parametrize(
    ("folder", "tiers", "recipe", "row"),
    [
        ("a", (BILSTM, BERT), "", "MRPC (BERT)"),
        ("a", (BILSTM, ROBERTA), "", "MRPC (RoBERTa)"),
        ("a", (BILSTM, MINILM), "mrpc_roberta", "MRPC (RoBERTa)"),
        ("mrpc_roberta_small", (BILSTM, MINILM), "", "MRPC (RoBERTa)"),
        ("mrpc_roberta", (BILSTM, BERT), "mrpc_bert", "MRPC (BERT)"),
        ("a", (BILSTM, {**BERT, "model_type": "mpnet"}), "", "a"),
    ],
)
def test_mrpc_has_two_rows(tmp_path, folder, tiers, recipe, row):
    write_paper_run(tmp_path / folder, "mrpc", "f1", tiers, recipe=recipe)
    assert [each.name for each in read_rows([tmp_path / folder]) if each.run] == [row]


def test_two_runs_for_one_row_are_told(runs, tmp_path):
    again = shutil.copytree(runs / "sst2", tmp_path / "again")
    with pytest.raises(UserError, match=f"Two runs for the row SST-2: {runs / 'sst2'} and {again}"):
        write_paper([runs / "sst2", again], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_or_unfinished_run_is_told(tmp_path, capsys):
    assert cli.main(["report", "--paper", str(tmp_path / "no"), "--output", str(tmp_path / "out")]) == 2
    assert f"{tmp_path / 'no'} is not a folder" in capsys.readouterr().err
    (tmp_path / "half" / "student").mkdir(parents=True)
    assert cli.main(["report", "--paper", str(tmp_path / "half"), "--output", str(tmp_path / "out")]) == 2
    assert f"{tmp_path / 'half' / 'cascade' / 'summary.json'} not found" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_told(runs, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="is a file"):
        write_paper([runs / "sst2"], tmp_path / "out")


def test_what_fails_half_way_leaves_the_old_files(runs, tmp_path, monkeypatch):
    (tmp_path / "paper.md").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paper, "save", full)
    with pytest.raises(OSError):
        write_paper([runs / "sst2"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["paper.md"]
    assert (tmp_path / "paper.md").read_text() == "old"


def test_the_command_line(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paper, "paper_figures", lambda *_: {})
    assert cli.main(["report", "--paper", str(runs / "sst2"), str(runs / "reviews")]) == 0
    shown = capsys.readouterr().out
    assert "No run of: CoLA, MRPC (BERT), MRPC (RoBERTa), QNLI, SQuAD." in shown
    assert "In runs/paper: paper.md, table1.csv" in shown and "Result: runs/paper/paper.md" in shown


def test_without_paper_it_is_one_runs_page(tmp_path, capsys, monkeypatch):
    written = []
    monkeypatch.setattr(html, "write_report", lambda *given: written.append(given) or Path("page"))
    (tmp_path / "report.yaml").write_text("{run_folder: a, output: b}")
    for words in (
        ["a", "--output", "b"],
        ["--run_folder=a", "--output=b"],
        ["--config", str(tmp_path / "report.yaml")],
    ):
        assert cli.main(["report", *words]) == 0
        assert "Result: page\nNext, open it in a browser" in capsys.readouterr().out
    assert cli.main(["report", "a"]) == 0
    assert written == [(Path("a"), Path("b"), False)] * 3 + [(Path("a"), None, False)]
    assert cli.main(["report", "a", "b"]) == 2
    assert "add --paper" in capsys.readouterr().err


def test_doctests():
    assert all(doctest.testmod(module).failed == 0 for module in (paper_runs, paper_tables, verbs))

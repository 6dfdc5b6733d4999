"""Both notebooks run from their first cell to their last on small inputs, and show what the run's files hold."""

import json
import os
import sys
from pathlib import Path

import pandas as pd
import pytest
from separable import write_encoder, write_glove, write_table

WHY = "comes with the extra `notebooks`"
nbformat = pytest.importorskip("nbformat", reason=WHY)
nbclient = pytest.importorskip("nbclient", reason=WHY)
pytest.importorskip("ipykernel", reason=WHY)

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
QUICKSTART, READING = "01_quickstart_on_your_csv.ipynb", "02_reading_a_cascade.ipynb"
SETTINGS = (
    "teacher.model.lr=2.0e-3 teacher.data.batch_size=16 teacher.trainer.max_epochs=5 augment.rules.draws_per_text=3 "
    "student.model.lr=5.0e-3 student.data.batch_size=32 student.trainer.max_epochs=2 cascade.model.repeats=2"
).split()


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def parameters_cell(notebook):
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return cell


def execute(name, folder, parameters, shown):
    """Runs a notebook in a folder with other parameters; returns what the expressions of `shown` are worth at its end.

    Args:
        shown: name -> Python expression over the notebook's variables, of a type that JSON knows.
    """
    notebook = read(name)
    parameters_cell(notebook).source = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    probe = ", ".join(f"{key!r}: {expression}" for key, expression in shown.items())
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({{{probe}}}, default=float))"))
    client = nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}})
    # the kernel imports what the tests import, installed or not; tiny models gain nothing from a second thread
    imports = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    client.execute(env={**os.environ, **imports, "OMP_NUM_THREADS": "1"})
    return json.loads(notebook.cells[-1].outputs[0].text), notebook


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    table = write_table(folder / "reviews.csv", classes=3)
    pd.read_csv(table).rename(columns={"text": "review", "label": "mood"}).to_csv(table, index=False)
    write_encoder(folder / "encoder")
    write_glove(folder / "glove.txt")
    parameters = {
        "DATA": "reviews.csv",
        "TEXT_COLUMN": "review",
        "LABEL_COLUMN": "mood",
        "TEACHER": "encoder",
        "GLOVE": "glove.txt",
        "OUT": "runs/own",
        "SETTINGS": SETTINGS,
        "DEFER": 0.1,
    }
    shown = {
        "n": "len(texts)",
        "rows": "sum(len(frame) for frame in examples.values())",
        "deferral_rate": "deferral_rate",
        "right": "right",
        "tiers": "[prediction.tier for prediction in at_each.values()]",
        "before": "before",
        "after": "float(predictor.thresholds[0])",
        "now_deferred": "(predictions['tier'] == 2).mean()",
    }
    return folder, *execute(QUICKSTART, folder, parameters, shown)


@pytest.fixture(scope="module")
def reading(quickstart):
    parameters = {"CASCADE": "runs/own/cascade", "KEEP": 0.95, "DEFER": 0.2}
    shown = {
        "deferral_rate": "deferred.mean()",
        "metric": "cascade_metric",
        "speedup": "speedup",
        "targets": "list(choices.index)",
        "deferred": "choices['deferred, calibration'].tolist()",
        "thresholds": "choices['threshold'].tolist()",
        "gains": "errors['gain'].sum()",
        "difference": "difference",
        "at_rates": "{kind: values.tolist() for kind, values in at_rates.items()}",
        "predicted_s": "predicted_s",
    }
    return execute(READING, quickstart[0], parameters, shown)


def summary_of(folder):
    return json.loads((folder / "runs/own/cascade/summary.json").read_text())


def images(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image")]


@pytest.mark.parametrize("name", [QUICKSTART, READING])
def test_a_notebook_is_kept_valid_without_outputs_and_starts_with_its_parameters(name):
    notebook = read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0] is parameters_cell(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_quickstart_makes_a_cascade_from_an_own_table(quickstart):
    folder, values, _ = quickstart
    summary, cascade = summary_of(folder), folder / "runs/own/cascade"
    assert (folder / "runs/own/report/report.html").is_file()
    assert summary["label_names"] == ["negative", "neutral", "positive"] and summary["n"] == values["n"]
    assert values["rows"] == 600
    assert [tier["name"] for tier in summary["tiers"]] == ["student", "teacher"]
    assert all(tier["metrics"]["accuracy"] > 0.6 for tier in summary["tiers"])
    assert {path.name for path in cascade.iterdir()} >= {"cascade.json", "tier1", "tier2"}


def test_the_quickstart_predicts_as_the_run_measured(quickstart):
    folder, values, _ = quickstart
    chosen = summary_of(folder)["chosen"]
    assert values["deferral_rate"] == pytest.approx(chosen["deferral_rate"])
    assert values["right"] == pytest.approx(chosen["metric_value"])
    assert values["tiers"][0] == 1 and values["tiers"][2] == 2


def test_the_quickstart_puts_another_operating_point_into_the_cascade(quickstart):
    folder, values, notebook = quickstart
    record = json.loads((folder / "runs/own/cascade/cascade.json").read_text())
    assert values["before"] == pytest.approx(summary_of(folder)["chosen"]["threshold"])
    assert [point["thresholds"] for point in record["points"]] == [[values["after"]]] and values["after"] < values[
        "before"
    ]
    assert record["chosen"]["target"] == "defer at most 0.1 of the examples"
    assert values["now_deferred"] == pytest.approx(record["chosen"]["deferral_rate"])


def test_the_reading_recomputes_the_summary(quickstart, reading):
    values, _ = reading
    chosen = summary_of(quickstart[0])["chosen"]
    assert values["deferral_rate"] == pytest.approx(chosen["deferral_rate"])
    assert values["metric"] == pytest.approx(chosen["metric_value"])
    assert values["speedup"] == pytest.approx(chosen["speedup"])
    assert values["predicted_s"] == chosen["predicted_s"]
    assert values["gains"] == pytest.approx(values["difference"])


def test_the_reading_picks_by_three_kinds_of_target(reading):
    values, _ = reading
    kept, _, deferred = values["targets"]
    assert kept == "keep 0.95 of tier 2" and deferred == "defer at most 0.2 of the examples"
    assert values["targets"][1].startswith("at most ")
    assert values["deferred"][2] <= 0.2
    assert len(set(values["thresholds"])) > 1


def test_the_reading_compares_with_random_and_oracle(reading):
    values, notebook = reading
    random, cascade, oracle = (values["at_rates"][kind] for kind in ("random", "cascade", "oracle"))
    assert random[0] == pytest.approx(cascade[0]) == pytest.approx(oracle[0])  # the first tier alone
    assert random[-1] == pytest.approx(cascade[-1])  # the second tier alone
    assert all(best >= real - 1e-9 for best, real in zip(oracle, cascade, strict=True))
    assert images(notebook) == ["image/svg+xml"] * 3

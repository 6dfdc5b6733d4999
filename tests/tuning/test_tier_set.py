"""Any number of tiers: their folders, exported and tuned each, and what is no cascade."""

import doctest
import json
import shutil

import pytest
from separable import write_table

from tangodistill.data.sources import DatasetConfig
from tangodistill.engines.exported import graphs_folder
from tangodistill.tuning import tier_set, tune
from tangodistill.tuning.agreements import accepted
from tangodistill.tuning.export import export
from tangodistill.tuning.tier_set import tier_folders
from tangodistill.tuning.tuned import Timing, tuned_for_this_cpu
from tangodistill.user_error import UserError


@pytest.mark.parametrize(
    ("tiers", "told"),
    [
        (
            ["runs/demo/teacher"],
            "tiers is ['runs/demo/teacher']: a cascade has two tiers or more, the cheapest first, such as "
            "[runs/demo/student, runs/demo/teacher].",
        ),
        (["a", "b", "a"], "tiers names a twice; each tier is another model, the cheapest first."),
    ],
)
def test_what_is_no_cascade_is_told(tiers, told):
    with pytest.raises(UserError) as error:
        tier_folders(tiers)
    assert str(error.value) == told


def test_three_tiers_are_exported_and_tuned(bilstm_folder, swapped_folder, bert_folder, tmp_path):
    """A format that depends on its batch is for the last one alone."""
    dataset = DatasetConfig(str(write_table(tmp_path / "data.csv")))
    last = shutil.copytree(bert_folder, tmp_path / "last")
    stage = {"tiers": [str(bilstm_folder), str(swapped_folder), str(last)], "dataset": dataset}
    formats = ["onnxruntime-fp32", "onnxruntime-int8"]
    exported = export(**stage, output=str(tmp_path / "export"), formats=formats, max_drop=1.0, min_same=0.0)
    assert [accepted(exported, tier)[1:] for tier in (1, 2)] == [["onnxruntime-fp32"]] * 2
    assert accepted(exported, 3)[1:] == formats
    assert all((graphs_folder(exported / f"tier{tier}") / "fp32.onnx").is_file() for tier in (1, 2, 3))
    tuned = tune.tune(**stage, exported=str(exported), output=str(tmp_path / "tune"), seconds=0.05)
    assert [row.tier for row in tuned_for_this_cpu(tuned)] == [1, 2, 3]
    (cpu,) = json.loads((tuned / "tune.json").read_text())["cpus"].values()
    assert {row["tier"] for row in cpu["reference"].values()} == {3}


def test_a_tier_that_is_slower_than_the_last_one_is_warned_of(capsys):
    speeds = (5000.0, 20000.0), (100.0, 200.0), (200.0, 400.0)
    tune._warn_of_slow_tiers([Timing(tier, "torch-fp32", 1, 8, *each) for tier, each in enumerate(speeds, 1)])
    assert capsys.readouterr().out == (
        "Warning: tier 2 takes 10 ms a text one at a time and 5 ms in batches, the last tier 5 and 2.5 ms: it saves "
        "nothing. Leave it out, or take a smaller model.\n"
    )


def test_doctests():
    assert doctest.testmod(tier_set).failed == 0

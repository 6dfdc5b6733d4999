"""The sweep file, as the agent of W&B reads it."""

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args, load_sweep_config

from tangodistill.cli import verbs
from tangodistill.recipe.reading import shipped_recipes

SWEEP = load_sweep_config(str(shipped_recipes()["sst2"] / "sweep.yaml"))


def choices(parameter: dict) -> list:
    return parameter.get("values") or [parameter[key] for key in ("value", "min", "max") if key in parameter]


@pytest.mark.parametrize("pick", [0, -1])
def test_each_trial_is_a_command_line_that_fit_accepts(pick):
    arguments = {name: {"value": choices(parameter)[pick]} for name, parameter in SWEEP["parameters"].items()}
    flags = create_sweep_command_args({"args": arguments})["args"]
    env, *words, last = SWEEP["command"]
    assert (env, last) == ("${env}", "${args}")
    *words, logger = words
    assert words == ["python", "-m", "tangodistill", "fit", "--config", "recipes/sst2/student.yaml"]
    verbs.check("fit", ["--config", str(shipped_recipes()["sst2"] / "student.yaml"), logger, *flags])


def test_a_flag_of_a_trial_wins_over_the_file():
    from tangodistill.cli.trainer import TrainerCLI

    file = str(shipped_recipes()["sst2"] / "student.yaml")
    flags = ["--model.init_args.lr=0.00042", "--trainer.default_root_dir=runs/sst2/sweep"]
    parsed = TrainerCLI("fit", ["--config", file, *flags], "", "", parse_only=True).config["fit"]
    assert (parsed.model.init_args.lr, parsed.trainer.default_root_dir) == (0.00042, "runs/sst2/sweep")
    assert parsed.model.init_args.loss == "logit_mse"


def test_trials_are_judged_by_what_training_logs_and_spare_the_recipes_own_student():
    assert SWEEP["metric"] == {"name": "val/score", "goal": "maximize"}
    assert choices(SWEEP["parameters"]["trainer.default_root_dir"]) == ["runs/sst2/sweep"]

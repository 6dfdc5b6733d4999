import os
import subprocess
import sys

import pytest

from tangodistill.cli import main as cli
from tangodistill.cli import verbs
from tangodistill.recipe import running as recipe_run
from tangodistill.user_error import UserError

HEAVY = ("torch", "lightning", "transformers", "datasets", "pandas", "wandb", "matplotlib")


def heavy_imports(code):
    """Which heavy packages a fresh interpreter has loaded after some code."""
    show = f"import sys; print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_importing_the_package_is_cheap():
    assert heavy_imports("import tangodistill") == "LOADED []"


@pytest.mark.parametrize("arguments", [["--help"], ["recipes"], ["run", "nothing"]])
def test_what_needs_nothing_heavy_imports_nothing_heavy(arguments):
    assert heavy_imports(f"from tangodistill.cli import main as cli; cli.main({arguments!r})") == "LOADED []"


def test_help_answers_within_a_second():
    before = os.times()
    subprocess.run([sys.executable, "-m", "tangodistill", "--help"], capture_output=True, check=True)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1


def test_public_names_are_found_when_used():
    import tangodistill

    assert tangodistill.UserError is UserError
    assert "CascadePredictor" in dir(tangodistill)
    with pytest.raises(AttributeError, match="no attribute 'CascadePredicter'"):
        tangodistill.CascadePredicter  # noqa: B018


def test_help_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in verbs.VERBS)


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_each_verb_has_a_help(capsys, verb):
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    assert verbs.VERBS[verb].help.split()[-1] in capsys.readouterr().out


def failing(capsys, *arguments):
    """The message of a command line that the user got wrong."""
    assert cli.main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err and len(captured.err.splitlines()) <= 2
    return captured.err


def test_a_misspelt_verb_gets_the_nearest(capsys):
    assert "Did you mean 'augment'?" in failing(capsys, "augmnt")


def test_debug_shows_the_traceback():
    with pytest.raises(UserError):
        cli.main(["augmnt", "--debug"])


def test_a_flag_before_config_is_refused_where_the_file_sets_it_too(capsys, tmp_path):
    (tmp_path / "stage.yaml").write_text("trainer: {max_epochs: 1}\nmodel: {class_path: M, init_args: {lr: 1}}")
    config = str(tmp_path / "stage.yaml")
    for flag in ("--trainer.max_epochs=3", "--model.lr=3", "--model.init_args.lr=3"):
        name = flag.split("=")[0]
        assert f"{name} stands before --config {config}" in failing(capsys, "fit", flag, "--config", config)
        assert f"{name} stands before" in failing(capsys, "fit", *flag.split("="), f"--config={config}")


def test_a_flag_before_config_is_fine_where_the_file_does_not_set_it(capsys, tmp_path):
    (tmp_path / "stage.yaml").write_text("teacher: t\noutput: o")
    message = failing(capsys, "label", "--transfer-set", str(tmp_path), "--config", str(tmp_path / "stage.yaml"))
    assert "no finished transfer set" in message


@pytest.mark.parametrize(
    "setting, nearest",
    [
        ("student.trainer.max_epoch=1", "trainer.max_epochs"),
        ("student.model.losss=x", "loss"),
        ("data.taks=sst2", "task"),
        ("augment.max_text=3", "max_texts"),
        ("augment.rules.p_mas=3", "p_mask"),
    ],
)
def test_a_misspelt_key_stops_a_run_before_its_first_stage(capsys, tmp_path, setting, nearest):
    message = failing(capsys, "run", "demo", "--out", str(tmp_path / "run"), "--set", setting)
    assert f"Did you mean '{nearest}'?" in message


def test_a_misspelt_key_of_a_stage_file(capsys, tmp_path):
    (tmp_path / "stage.yaml").write_text("model: {class_path: TeacherModule, init_args: {pretraned: x}}")
    message = failing(capsys, "fit", "--config", str(tmp_path / "stage.yaml"))
    assert message == "error: Unknown key 'pretraned' for TeacherModule. Did you mean 'pretrained'?\n"


def test_ctrl_c_is_one_line(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe_run.RecipeRun, "run", interrupted)
    assert cli.main(["run", "demo"]) == 130
    assert capsys.readouterr().err.strip() == "Stopped by Ctrl-C. The same command resumes where it was."


def test_ctrl_c_inside_the_trainer_too(capsys, monkeypatch):
    def interrupted(*_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)  # as Lightning does after tearing its trainer down

    monkeypatch.setattr(recipe_run.RecipeRun, "run", interrupted)
    assert cli.main(["run", "demo"]) == 130


def test_a_full_disk_is_told(capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "weights")

    monkeypatch.setattr(recipe_run.RecipeRun, "run", full)
    assert "No space left on the disk while writing weights" in failing(capsys, "run", "demo")


def test_recipes_are_listed_shown_and_copied(capsys, tmp_path):
    assert cli.main(["recipes"]) == 0
    assert "sst2/small" in capsys.readouterr().out
    assert cli.main(["recipes", "demo"]) == 0
    assert "teacher.yaml" in capsys.readouterr().out
    assert cli.main(["recipes", "demo", "--copy", str(tmp_path / "mine")]) == 0
    assert f"run {tmp_path / 'mine'}" in capsys.readouterr().out
    assert cli.main(["recipes", "sst2/small", "--copy", str(tmp_path / "small")]) == 0
    assert f"run {tmp_path / 'small'}/small" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--inspect"], ["--inspect=true"]),
        (["--inspect", "--seed", "1"], ["--inspect=true", "--seed", "1"]),
        (["--inspect", "false"], ["--inspect", "false"]),
        ([], []),
    ],
)
def test_a_switch_without_a_value_means_yes(given, read):
    def function(seed: int = 0, inspect: bool = False):
        pass

    assert verbs._switched_on(given, function) == read


def test_two_verbs_cannot_write_to_one_folder_and_a_stage_is_held_by_its_run(refused, tmp_path):
    from tangodistill.recipe.stage import exclusive

    folder, missing = tmp_path / "out", tmp_path / "missing"
    label = ["--transfer_set", str(missing), "--teacher", str(missing), "--output", str(folder)]
    fit = ["--model", "TeacherModule", "--model.pretrained", "x", "--data", "TextData"]
    fit += ["--data.dataset.source", str(missing), "--trainer.default_root_dir", str(folder)]
    with exclusive(folder):
        for verb, arguments, flag in (
            ("label", label, "--output"),
            ("choose", [str(folder), "--keep", "0.9"], "--folder"),
            ("tune", [str(folder)], "--cascade"),
            ("fit", fit, "--trainer.default_root_dir"),
        ):
            message = refused(verb, *arguments)
            assert message.startswith(f"Another run is at work in {folder} (process {os.getpid()} on ")
            assert message.endswith(f"UTC). Wait for it, or choose another {flag}.")
        with pytest.raises(UserError, match="no finished transfer set"):
            verbs.execute("label", label, alone=False)
    assert not folder.exists() and "no finished transfer set" in refused("label", *label)
    assert not folder.exists() and refused("choose", missing, "--keep", "0.9") and not missing.exists()


def test_stage_files_as_the_readme_names_them_are_found_from_anywhere(monkeypatch, tmp_path, refused):
    monkeypatch.chdir(tmp_path)
    for config in (["--config", "recipes/squad/lengths.yaml"], ["--config=recipes/squad/lengths.yaml"]):
        assert refused("search", *config, "--dataset.source", "nowhere").startswith("'nowhere' is neither a file")
    assert refused("search", "--config", "recipes/squad/lenghts.yaml") == (
        "recipes/squad/lenghts.yaml is neither a file here nor one that is shipped. Did you mean "
        "'recipes/squad/lengths.yaml'? `python -m tangodistill recipes NAME` lists a recipe's files, and with --copy "
        "FOLDER copies them."
    )
    own = tmp_path / "recipes" / "squad"
    own.mkdir(parents=True)
    (own / "lengths.yaml").write_text("{transfer_set: mine, teacher: t, output: o}")
    assert refused("label", "--config", "recipes/squad/lengths.yaml").startswith("mine is no finished transfer set")


def test_a_stage_that_is_tried_out_names_no_result(capsys):
    cli._say_next("TeacherModule", None)
    assert capsys.readouterr().out == "Result: none. trainer.fast_dev_run tries a stage out and writes nothing.\n"

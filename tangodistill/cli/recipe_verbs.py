"""The verbs `run` and `recipes`."""

from pathlib import Path
from typing import Literal

from tangodistill.cli.verbs import PROGRAM, check, command_parser, execute_stage, parse, refuse_overridden_flags
from tangodistill.recipe.overrides import Overrides
from tangodistill.recipe.reading import copy_recipe, read_recipe, shipped_recipes, variants_of
from tangodistill.recipe.running import RecipeRun
from tangodistill.user_error import UserError


def run(arguments: list[str]) -> None:
    """Run a recipe's stages in order."""
    parser = command_parser("run")
    parser.add_argument(
        "recipe",
        type=str,
        help="A shipped recipe's name (see `recipes`), or a recipe folder; NAME/small: its variant for 2 cores.",
    )
    parser.add_argument("--out", type=str, help="Folder of the results (default: runs/NAME, runs/NAME_small).")
    parser.add_argument("--data", type=str, help="Labelled data: a GLUE folder, a table, or a hub name.")
    parser.add_argument(
        "--teacher",
        type=str,
        help="The second tier: a model folder or hub name. A classifier is evaluated and used as it is, "
        "an encoder is fine-tuned.",
    )
    parser.add_argument(
        "--protocol",
        type=Literal["natural", "paper"],
        default="natural",
        help="paper: also measure with every text padded to the task's maximum length.",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="STAGE.KEY=VALUE",
        default=[],
        help="Change a key of a stage file (data.KEY: of every stage's data), e.g. student.model.lr=1e-3. Repeatable.",
    )
    parser.add_argument("--from", metavar="STAGE", help="Begin here; earlier stages are taken as they are.")
    parser.add_argument("--until", metavar="STAGE", help="Stop after this stage.")
    parser.add_argument("--force", action="append", metavar="STAGE", default=[], help="Run it anew. Repeatable.")
    refuse_overridden_flags("run", arguments)
    given = parse(parser, arguments)
    recipe = read_recipe(given.recipe)
    Overrides(given.data, given.teacher, given.protocol, given.set).apply(recipe)
    out = Path(given.out or f"runs/{recipe.name.replace('/', '_')}")
    RecipeRun(recipe, out, execute_stage, check).run(given["from"], given.until, given.force)
    report = out / "report" / "report.html"
    print(f"Result: {out}" + (f"\nNext, open the report: {report.resolve()}" if report.exists() else ""))


def recipes(arguments: list[str]) -> None:
    """List the shipped recipes, show one's stages or keys, or copy it."""
    parser = command_parser("recipes")
    parser.add_argument("name", nargs="?", type=str, help="A recipe, to see its stages or to copy it.")
    parser.add_argument("--copy", metavar="FOLDER", type=str, help="Where to put a copy of it, to edit.")
    parser.add_argument(
        "--keys",
        metavar="STAGE",
        nargs="?",
        const="",
        type=str,
        help="List every key that `run --set STAGE.KEY=VALUE` takes, with its value and a line on it; of one stage, of "
        "`data`, or of all.",
    )
    given = parse(parser, arguments)
    if given["keys"] is not None:  # a namespace has a method of that name
        _print_keys(given.name, given["keys"])
    elif given.name is None:
        for recipe, folder in shipped_recipes().items():
            for name in (recipe, *variants_of(recipe, folder)):
                print(f"{name:<18} {read_recipe(name).description}")
        print(f"Next, run one: {PROGRAM} run NAME; or copy one to edit: {PROGRAM} recipes NAME --copy FOLDER")
    elif given.copy is None:
        recipe = read_recipe(given.name)
        print(f"{recipe.name}: {recipe.description}")
        for stage in recipe.stages:
            print(f"  {stage.name:<14} {stage.verb:<9} {stage.file or ''}".rstrip())
        print(f"Next, run it: {PROGRAM} run {recipe.name}")
    else:
        folder = copy_recipe(given.name, Path(given.copy))
        _, slash, variant = read_recipe(given.name).name.partition("/")
        print(f"Result: {folder}\nNext, edit its files, then: {PROGRAM} run {folder}{slash}{variant}")


def _print_keys(name: str | None, stage: str) -> None:
    if name is None:
        raise UserError(f"--keys are those of a recipe: {PROGRAM} recipes demo --keys")
    from tangodistill.cli.recipe_keys import keys_of_recipe

    for key in keys_of_recipe(read_recipe(name), stage or None):
        print(key)
    print(f"Next, change one: {PROGRAM} run {name} --set STAGE.KEY=VALUE")

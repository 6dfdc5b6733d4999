"""The layers of the package: what may import what, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

import tangodistill

PACKAGE = Path(tangodistill.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "contents": set(),
    "config": {"user_error"},
    "messages": {"config", "user_error"},
    "stage": {"latency", "user_error"},
    "recipe": {"config", "user_error"},
    "overrides": {"config", "recipe", "models", "data", "user_error"},
    "recipe_run": {"config", "progress", "recipe", "stage", "data", "report", "user_error"},
    "launching": {"config", "user_error"},
    "verbs": {"config", "launching", "messages", "modules", "parsers", "recipe", "stage", "user_error"},
    "recipe_keys": {"config", "parsers", "recipe", "verbs"},
    "recipe_verbs": {"overrides", "recipe", "recipe_keys", "recipe_run", "user_error", "verbs"},
    "cli": {"config", "home", "launching", "messages", "output", "progress", "recipe_verbs", "verbs", "user_error"},
    "scored_examples": {"cascade", "data", "metrics", "runtime"},
    "tier_pair": {"data", "runtime", "scored_examples", "user_error"},
    "exporting": {"contents", "data", "lengths", "models", "progress", "runtime", "tier_pair", "user_error"},
    "tuning": {"contents", "data", "exporting", "latency", "lengths", "progress", "runtime", "tier_pair", "user_error"},
    "lengths": {
        *("cascade", "contents", "data", "latency", "models", "progress", "report", "runtime", "scored_examples"),
        *("tier_pair", "user_error"),
    },
    "labelling": {"contents", "data", "hardware", "models", "positions", "progress", "user_error"},
    "tasks": {"metrics", "user_error"},
    "metrics": {"squad_scores"},
    "squad_scores": set(),
    "losses": set(),
    "latency": set(),
    "progress": set(),
    "output": set(),
    "hub_access": set(),
    "parsers": set(),
    "home": set(),
    "hardware": set(),
    "positions": set(),
    "models": {"data", "hub_access", "progress", "user_error"},
    "cascade": {"metrics"},
    "data": {"hub_access", "progress", "tasks", "user_error"},
    "augment": {
        *("contents", "data", "hardware", "hub_access", "latency", "positions", "progress", "tasks", "user_error"),
    },
    "runtime": {"contents", "models", "cascade", "latency", "data", "metrics", "positions", "progress", "user_error"},
    "report": {"cascade", "latency", "metrics", "progress", "user_error"},
    "modules": {
        *(
            "lengths",
            "report",
            "runtime",
            "models",
            "losses",
            "metrics",
            "cascade",
            "latency",
            "data",
            "tasks",
            "user_error",
        ),
        *("hardware", "hub_access", "parsers", "positions", "progress", "scored_examples", "stage"),
    },
    "user_error": set(),
    "__main__": {"cli", "latency"},
    "__init__": set(),
}
"""Part of the package -> the other parts that it may import, at any depth of a function."""

ONLY_NUMPY = ("cascade", "metrics", "squad_scores", "pareto")
NOT_IN_SERVING = {"lightning", "wandb", "nlpaug", "torchtext", "datasets"}
LIGHTNING = ("modules/", "report/tracking.py")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    """Full dotted names that a file imports, those inside functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "tangodistill":
                names += [f"tangodistill.{alias.name}" for alias in node.names]
            else:
                names.append(node.module)
    return names


def outside(path: Path) -> set[str]:
    """Third-party and standard packages that a file imports."""
    return {name.split(".")[0] for name in imported(path)} - {"tangodistill"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path):
    part = part_of(path)
    own = [name.split(".")[1] for name in imported(path) if name.startswith("tangodistill.")]
    strays = {name for name in own if name != part and name != "__version__"} - MAY_IMPORT[part]
    assert not strays, f"{part} must not import {', '.join(sorted(strays))}"


def test_the_arrows_have_no_circle():
    def reaches(start, seen=()):
        for name in MAY_IMPORT[start]:
            assert name not in seen, f"{' -> '.join((*seen, name))}"
            reaches(name, (*seen, name))

    for part in MAY_IMPORT:
        reaches(part, (part,))


def test_only_modules_and_tracking_know_lightning():
    users = {str(path.relative_to(PACKAGE)) for path in FILES if outside(path) & {"lightning", "pytorch_lightning"}}
    assert all(user.startswith(LIGHTNING) for user in users), users


def test_the_pure_parts_need_numpy_alone():
    import sys

    for path in FILES:
        if part_of(path) in ONLY_NUMPY:
            assert outside(path) <= sys.stdlib_module_names | {"numpy"}, path


def test_serving_loads_no_training_packages():
    """Followed from import to import, through other parts of the package, parents of a submodule included."""
    waiting, seen = [path for path in FILES if part_of(path) == "runtime"], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        found = top_level_imports(path)
        assert not {name.split(".")[0] for name in found} & NOT_IN_SERVING, path
        for name in found:
            parts = name.split(".")[1:] if name.startswith("tangodistill") else []
            for depth in range(len(parts) + 1):
                below = PACKAGE.joinpath(*parts[:depth])
                waiting += [file for file in (below.with_suffix(".py"), below / "__init__.py") if file in FILES]


def top_level_imports(path: Path) -> list[str]:
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names

"""The layers of the package: what may import what, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

import tangodistill

PACKAGE = Path(tangodistill.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py"))

EVERYWHERE = {"progress", "user_error"}
MAY_IMPORT = {
    "cli": {"measure", "modules", "paper", "recipe", "report"},
    "recipe": {"data", "latency", "models", "report"},
    "measure": {
        *("cascade", "data", "engines", "latency", "metrics", "models", "modules", "predictor", "report", "tasks"),
        "tuning",
    },
    "tuning": {"cascade", "data", "engines", "latency", "metrics", "models", "predictor", "report"},
    "paper": {"cascade", "report"},
    "report": {"cascade", "metrics"},
    "predictor": {"cascade", "data", "engines", "latency"},
    "engines": {"data", "latency", "models"},
    "modules": {"data", "losses", "metrics", "models", "tasks"},
    "augment": {"data", "latency", "models", "tasks"},
    "models": {"data"},
    "data": {"tasks"},
    "cascade": {"metrics"},
    "latency": set(),
    "losses": set(),
    "metrics": {"squad_scores"},
    "progress": set(),
    "squad_scores": set(),
    "tasks": {"metrics"},
    "user_error": set(),
    "__main__": {"cli", "latency"},
    "__init__": set(),
}
"""Part of the package -> the other parts that it may import, at any depth of a function."""
MOST_LOOSE = 8
"""Files that may lie outside the rooms, beside `__init__` and `__main__`."""

ONLY_NUMPY = ("cascade/", "metrics.py", "squad_scores.py", "tuning/pareto.py")
NOT_IN_SERVING = {"lightning", "wandb", "nlpaug", "torchtext", "datasets"}
LIGHTNING = ("modules/", "measure/", "cli/trainer.py", "cli/progress_bar.py", "report/tracking.py")


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
                names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def outside(path: Path) -> set[str]:
    """Third-party and standard packages that a file imports."""
    return {name.split(".")[0] for name in imported(path)} - {"tangodistill"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path):
    part = part_of(path)
    own = [name.split(".")[1] for name in imported(path) if name.startswith("tangodistill.")]
    strays = {name for name in own if name != part and name != "__version__"} - MAY_IMPORT[part] - EVERYWHERE
    assert not strays, f"{part} must not import {', '.join(sorted(strays))}"


def test_the_arrows_have_no_circle():
    def reaches(start, seen=()):
        for name in MAY_IMPORT[start]:
            assert name not in seen, f"{' -> '.join((*seen, name))}"
            reaches(name, (*seen, name))

    for part in MAY_IMPORT:
        reaches(part, (part,))


def test_files_import_each_other_in_no_circle():
    """Not inside functions either."""
    files = {dotted(path): path for path in FILES}
    imports = {name: {each for each in imported(path) if each in files} for name, path in files.items()}

    def visit(name: str, above: tuple[str, ...] = ()) -> None:
        assert name not in above, " -> ".join((*above[above.index(name) :], name))
        if name not in done:
            for below in imports[name]:
                visit(below, (*above, name))
            done.add(name)

    done: set[str] = set()
    for name in files:
        visit(name)


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_few_files_lie_outside_the_rooms():
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert len(loose - {"__init__", "__main__"}) <= MOST_LOOSE, sorted(loose)


def test_only_modules_and_tracking_know_lightning():
    users = {str(path.relative_to(PACKAGE)) for path in FILES if outside(path) & {"lightning", "pytorch_lightning"}}
    assert all(user.startswith(LIGHTNING) for user in users), users


def test_the_pure_parts_need_numpy_alone():
    import sys

    pure = [path for path in FILES if str(path.relative_to(PACKAGE)).startswith(ONLY_NUMPY)]
    assert {str(path.relative_to(PACKAGE)) for path in pure} >= {name for name in ONLY_NUMPY if name.endswith(".py")}
    for path in pure:
        assert outside(path) <= sys.stdlib_module_names | {"numpy"}, path


def test_serving_loads_no_training_packages():
    """Followed from import to import, through other parts of the package, parents of a submodule included."""
    waiting, seen = [path for path in FILES if part_of(path) == "predictor"], set()
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

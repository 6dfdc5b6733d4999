"""Every verb of the command line: what it is for, what it runs, and how its words are meant."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Verb:
    """One verb. Nothing heavy is imported before it is used."""

    help: str
    target: str = ""
    """`module:function` that it runs; a verb without one trains or measures by the Trainer, or runs recipes."""
    next: str = ""
    """What to do then, with `{program}` and `{result}`."""
    holds: tuple[str, ...] = ()
    """Keys of which one names the folder that only one process may write to; `augment` may be shared."""
    positional: bool = False
    """Whether its function's own positional parameters are words."""
    word: str = ""
    """Key that its first word stands for, where it has one."""
    words: str = ""
    """Key that all its words stand for."""
    recipes: bool = False

    @property
    def trains(self) -> bool:
        """Whether it is one of the Trainer's."""
        return not (self.target or self.recipes)

    def load(self) -> Callable[..., Any]:
        module, name = self.target.split(":")
        return getattr(import_module(module), name)


VERBS = {
    "run": Verb("Run a recipe, from labelled text to a measured cascade and its report.", recipes=True),
    "recipes": Verb("List the shipped recipes, or copy one to edit.", recipes=True),
    "fit": Verb("Train a teacher or a student from a stage file."),
    "validate": Verb("Evaluate a model on held-out data; for a cascade: sweep every threshold and time the tiers."),
    "test": Verb("Evaluate a model on the report role."),
    "predict": Verb("Write a model's predictions for the report role."),
    "augment": Verb(
        "Make an unlabelled transfer set from the training texts.",
        "tangodistill.augment.pipeline:augment",
        "have the teacher label it: {program} label --transfer_set {result} --teacher FOLDER --output FOLDER",
    ),
    "label": Verb(
        "Store the teacher's logits beside a transfer set.",
        "tangodistill.augment.labelling:label",
        "train a student on it: {program} fit --config STAGE_FILE --data.transfer_set {result}",
        ("output",),
    ),
    "search": Verb(
        "Search a Dynamic-TinyBERT's length configurations for fast and good ones on this machine.",
        "tangodistill.tuning.search:search_lengths",
        "have its best served: {program} export --lengths {result} (see recipes/squad/recipe.yaml)",
        ("output",),
    ),
    "export": Verb(
        "Write the tiers for faster engines, each checked against PyTorch.",
        "tangodistill.tuning.export:export",
        "find the fastest on this machine: {program} tune {result}",
        ("output", "cascade"),
        word="cascade",
    ),
    "tune": Verb(
        "Find the fastest engine, threads and batch size of each tier on this machine.",
        "tangodistill.tuning.tune:tune",
        "choose a threshold for what was found: {program} choose {result} --keep 0.99",
        ("output", "cascade"),
        word="cascade",
    ),
    "choose": Verb(
        "Choose another operating point of a finished cascade.",
        "tangodistill.tuning.choose:choose",
        "serve it: CascadePredictor.from_pretrained('{result}')",
        ("folder",),
        positional=True,
    ),
    "report": Verb(
        "Write a run's report as one HTML file, or the paper's tables and figures from several runs.",
        "tangodistill.cli.report_verb:report",
        "open it in a browser; another operating point: {program} choose --help",
        words="run_folder",
    ),
}

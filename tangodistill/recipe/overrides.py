"""What the command line changes in a recipe: other data, another teacher, single keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from yaml import YAMLError

from tangodistill.recipe.config import get_key, parse_yaml, set_key
from tangodistill.recipe.reading import Recipe, Stage
from tangodistill.user_error import UserError


@dataclass
class Overrides:
    """What the command line changes in a recipe's stages."""

    data: str | None = None
    teacher: str | None = None
    protocol: str = "natural"
    settings: Sequence[str] = ()
    """`STAGE.KEY=VALUE` each, VALUE in YAML."""

    def apply(self, recipe: Recipe) -> None:
        for stage in recipe.stages:
            if self.data is not None and stage.dataset:
                self._apply_data(stage)
            if self.protocol != "natural" and stage.protocol:
                set_key(stage.config, stage.protocol, self.protocol)
        if self.teacher is not None:
            self._apply_teacher(recipe)
        for setting in self.settings:
            self._apply_setting(recipe, setting)

    def _apply_data(self, stage: Stage) -> None:
        """Another source, without the validation and test sets that belong to the recipe's own."""
        dataset = get_key(stage.config, stage.dataset)
        dataset.pop("validation", None)
        dataset.pop("test", None)
        dataset["source"] = self.data

    def _apply_teacher(self, recipe: Recipe) -> None:
        """The second tier. A stage before it that takes a teacher too makes the labels, from a model of its own."""
        stage = next((stage for stage in reversed(recipe.stages) if stage.teacher), None)
        if stage is None:
            raise UserError(f"Recipe {recipe.name} has no stage that takes a teacher; --teacher has no place to go.")
        set_key(stage.config, stage.teacher, self.teacher)
        stage.verb = "validate" if is_trained(self.teacher) else "fit"
        if stage.verb == "validate":
            set_key(stage.config, "model.save_validated", True)

    def _apply_setting(self, recipe: Recipe, setting: str) -> None:
        target, equals, value = setting.partition("=")
        name, dot, key = target.partition(".")
        if not (equals and dot and key):
            raise UserError(f"--set {setting}: expected STAGE.KEY=VALUE, for instance student.trainer.max_epochs=3.")
        try:
            parsed = parse_yaml(value)
        except YAMLError as error:
            raise UserError(f"--set {setting}: {value!r} is not valid YAML ({error.problem}).") from error
        recipe.set(name, key, parsed)


def is_trained(teacher: str) -> bool:
    """Whether a model folder or hub name holds a model with a head of its own, by its config.json."""
    from tangodistill.data.packages import resolve
    from tangodistill.models.load import has_head, read_config

    return has_head(read_config(str(resolve(teacher))))

"""Where the stages of each verb keep what `run` fills in: their folder, their data, and what they read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

RUN = "."
"""The run's folder, with every stage in it."""


@dataclass(frozen=True)
class Places:
    """The keys of one verb's stages."""

    output: str
    """Of the folder that a stage writes."""
    dataset: str | None = None
    """Of the mapping that describes the labelled data."""
    resumes: bool = False
    """Whether one that was cut off goes on where it was, by what it wrote. (`fit` does by its checkpoints.)"""
    reads: Mapping[str, str | list[str]] = field(default_factory=dict)
    """Of a stage that needs no file of its own: key -> the stage whose folder it reads, or several, by usual names."""

    def defaults(
        self, run_folder: str, name: str, stages: Collection[str], dataset: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The keys of a stage without a file, as far as the recipe has the stages that they name.

        >>> Places("output", "dataset", reads={"exported": "export", "lengths": "lengths"}).defaults(
        ...     "runs/demo", "tune", ["export"], {"source": "a.csv"}
        ... )
        {'dataset': {'source': 'a.csv'}, 'exported': 'runs/demo/export', 'output': 'runs/demo/tune'}
        """
        data = {self.dataset: dict(dataset)} if self.dataset and dataset else {}
        folders = {RUN: run_folder, **{stage: f"{run_folder}/{stage}" for stage in stages}}
        read = {}
        for key, named in self.reads.items():
            if isinstance(named, list):
                read[key] = [folders[stage] for stage in named if stage in folders]
            elif named in folders:
                read[key] = folders[named]
        return {**data, **read, self.output: f"{run_folder}/{name}"}


_TRAINED = Places("trainer.default_root_dir", "data.init_args.dataset")
_TIERS = {"tiers": ["student", "teacher"]}
PLACES = {
    **dict.fromkeys(("fit", "validate", "test", "predict"), _TRAINED),
    "augment": Places("output", "dataset", resumes=True),
    "label": Places("output", resumes=True, reads={"transfer_set": "augment", "teacher": "teacher"}),
    "search": Places("output", "dataset", resumes=True),
    "export": Places("output", "dataset", reads=_TIERS),
    "tune": Places("output", "dataset", reads={**_TIERS, "exported": "export"}),
    "report": Places("output", reads={"run_folder": RUN}),
}
"""By verb."""

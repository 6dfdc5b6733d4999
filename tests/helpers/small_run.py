"""A recipe's whole run over small inputs: what it needs, and its command line."""

from pathlib import Path

from separable import write_encoder, write_glove, write_table

SETTINGS = [
    *("teacher.model.lr=2e-3", "teacher.trainer.max_epochs=6", "teacher.data.batch_size=16"),
    *("augment.workers=1", "augment.rules.draws_per_text=6"),
    *("student.model.lr=5e-3", "student.model.dropout=0", "student.trainer.max_epochs=3", "student.data.batch_size=32"),
    "export.formats=[]",
    "tune.seconds=0.05",
    "cascade.model.repeats=2",
    *(f"{stage}.trainer.logger=false" for stage in ("teacher", "student", "cascade")),
]


class SmallRun:
    """A table, an encoder without dropout and word vectors; recipe `custom` takes them in."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.table = write_table(folder / "data.csv")
        self.glove = write_glove(folder / "glove.txt")
        self.encoder = write_encoder(folder / "encoder")
        config = self.encoder / "config.json"
        config.write_text(config.read_text().replace('_dropout_prob": 0.1', '_dropout_prob": 0.0'))

    def arguments(self, out: Path, *more: str, data: Path | str = "", teacher: Path | str = "") -> list[str]:
        """The words after `python -m tangodistill`."""
        inputs = ["--data", str(data or self.table), "--teacher", str(teacher or self.encoder)]
        settings = [*SETTINGS, f"student.model.glove={self.glove}"]
        return ["run", "custom", "--out", str(out), *inputs, *(f"--set={setting}" for setting in settings), *more]

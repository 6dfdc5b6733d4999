"""How a tier of a cascade folder is run, as its record says, and what `export` leaves beside it."""

from dataclasses import dataclass

from tangodistill.engines.engine_key import engine_key

GRAPHS = "onnx"  # of a tier's folder, as `export` writes it
EXPORT_RECORD = "export.json"  # how the formats agree with PyTorch


@dataclass
class TierRecord:
    """How one tier is run."""

    name: str
    path: str  # relative to cascade.json
    engine: str = "torch"
    precision: str = "fp32"
    batch_size: int = 1  # examples per forward pass, the fastest that was measured
    threads: int | None = None  # None: as the process has them
    max_length: int | None = None  # tokens; None: what the tier allows
    length_configuration: list[float] | None = None  # of a Dynamic-TinyBERT; None: its folder's own

    @property
    def key(self) -> str:
        """What its threshold belongs to: another engine, precision or length configuration has other confidences."""
        return engine_key(self.engine, self.precision, self.length_configuration)

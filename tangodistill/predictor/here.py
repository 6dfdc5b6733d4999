"""What a cascade folder would run here, as it lies now, and whether its thresholds were chosen with that."""

from pathlib import Path

from tangodistill.data.contents import files_hash, model_hash
from tangodistill.engines.engine_key import split_key
from tangodistill.engines.exported import exported_files, read_facts
from tangodistill.engines.loading import BATCH_DEPENDENT, refuse_unknown
from tangodistill.latency.cores import available_cores
from tangodistill.latency.machine import cpu_identity
from tangodistill.predictor.cascade_folder import CascadeRecord
from tangodistill.predictor.setup import Setup, TierSetup
from tangodistill.user_error import UserError


def setup_here(folder: str | Path, record: CascadeRecord) -> Setup:
    """The setup of a cascade folder on this machine.

    Raises:
        UserError: a graph is missing, or was exported from other weights than its tier holds.
    """
    tiers = tuple(
        TierSetup(
            key=tier.key,
            contents=engine_contents(Path(folder) / tier.path, Path(folder) / tier.path, tier.key),
            max_length=tier.max_length,
            threads=tier.threads,
            batch_size=tier.batch_size,
        )
        for tier in record.tiers
    )
    return Setup(tiers, record.score, cpu_identity(), available_cores())


def engine_contents(model: Path, exported: Path, key: str) -> str:
    """Hash of the files that a tier's engine runs.

    Args:
        model: the tier's folder.
        exported: the folder that holds its graphs.
        key: of the engine.

    Raises:
        UserError: a graph is missing, or was exported from other weights.
    """
    engine, precision, lengths = split_key(key)
    refuse_unknown(model, engine, precision)
    weights = model_hash(model)
    if engine == "torch":
        return weights
    files = exported_files(exported, precision, lengths)
    if read_facts(exported).weights not in ("", weights):
        raise UserError(
            f"{exported}: its graphs were exported from other weights than {model} holds. Run "
            "`python -m tangodistill export` and `tune` again, or put the weights back."
        )
    return files_hash(files)


def thresholds_that_hold(folder: str | Path, record: CascadeRecord) -> list[float | None]:
    """Of each tier but the last, where they were chosen with what is to answer, on this CPU where that matters.

    Raises:
        UserError: they were not; says with what, and what to run.
    """
    for number, tier in enumerate(record.tiers[:-1], 1):
        if tier.precision in BATCH_DEPENDENT:
            raise UserError(
                f"{folder}: tier {number}'s answers in {tier.precision} depend on their batch, so no threshold holds. "
                "Run `python -m tangodistill tune` on the folder."
            )
    thresholds = record.point.thresholds
    now = setup_here(folder, record)
    then = record.calibrated or Setup(tuple(TierSetup(tier.key) for tier in now.tiers))  # nothing more is known
    if change := now.other_confidences(then):
        verbs = "choose`" if now.keys != then.keys else "tune` and `choose`"
        what = "threshold was" if len(thresholds) == 1 else "thresholds were"
        raise UserError(f"{folder}: its {what} chosen {change}. Run `python -m tangodistill {verbs} on the folder.")
    return thresholds

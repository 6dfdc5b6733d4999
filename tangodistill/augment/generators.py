"""Several generators together: whether what was asked for makes a transfer set."""

from collections.abc import Sequence

from tangodistill.augment.generator import Generator
from tangodistill.user_error import UserError


def check_generators(generators: Sequence[Generator]) -> None:
    """Raises UserError where there is none, one has a value out of range, or shares don't add up to 1."""
    if not generators:
        raise UserError(
            "rules, nlpaug, mask_fill and lm are all null: nothing would be generated. Give at least one of them."
        )
    for generator in generators:
        generator.check()
    shares = {generator.name: generator.share for generator in generators}
    if all(share is None for share in shares.values()):
        return
    told = ", ".join(f"{name} {share}" for name, share in shares.items())
    if None in shares.values() or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise UserError(f"The shares are {told}: give one above 0 to each generator, 1 in all, or none to any.")

"""The kinds of generators that a transfer set is made by, and what tells them apart."""

from collections.abc import Sequence

from tangodistill.augment.mask_fill import MaskFillConfig, check_mask_fill
from tangodistill.augment.nlpaug_bridge import NlpaugConfig, check_augmenter
from tangodistill.augment.rules import RulesConfig, check_rules
from tangodistill.augment.sample_lm import SampleLmConfig, check_sample_lm
from tangodistill.user_error import UserError

Generator = RulesConfig | NlpaugConfig | MaskFillConfig | SampleLmConfig
NAMES = {RulesConfig: "rules", NlpaugConfig: "nlpaug", MaskFillConfig: "mask_fill", SampleLmConfig: "lm"}
CHECKS = {
    RulesConfig: check_rules,
    NlpaugConfig: check_augmenter,
    MaskFillConfig: check_mask_fill,
    SampleLmConfig: check_sample_lm,
}
DRAWS_SINGLE, DRAWS_PAIR = 20, 10


def generator_name(generator: Generator) -> str:
    """Its key in the stage file."""
    return NAMES[type(generator)]


def samples(generator: Generator) -> bool:
    """Whether its texts stand by themselves instead of being variants of source rows."""
    return isinstance(generator, SampleLmConfig)


def draws_of(generator: Generator, pairs: bool) -> int:
    """Variants tried per source row; mask-fill counts 20 for a pair too (Jiao et al. 2020), one for what samples."""
    if samples(generator):
        return 1
    halved = pairs and not isinstance(generator, MaskFillConfig)
    return generator.draws_per_text or (DRAWS_PAIR if halved else DRAWS_SINGLE)


def check_generators(generators: Sequence[Generator]) -> None:
    """Raises UserError where there is none, one has a value out of range, or shares don't add up to 1."""
    if not generators:
        raise UserError(
            "rules, nlpaug, mask_fill and lm are all null: nothing would be generated. Give at least one of them."
        )
    for generator in generators:
        CHECKS[type(generator)](generator)
    shares = {generator_name(generator): generator.share for generator in generators}
    if all(share is None for share in shares.values()):
        return
    told = ", ".join(f"{name} {share}" for name, share in shares.items())
    if None in shares.values() or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise UserError(f"The shares are {told}: give one above 0 to each generator, 1 in all, or none to any.")

"""How a cascade is run, and where: what its thresholds, and its measured answers and times, depend on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tangodistill.engines.engine_key import split_key


@dataclass(frozen=True)
class TierSetup:
    """How one tier is run. What is None or 0 is not known: an earlier version did not record it."""

    key: str
    """Engine, precision and length configuration."""
    contents: str | None = None
    """Hash of the files that the engine runs."""
    max_length: int | None = None
    threads: int | None = None
    batch_size: int = 0


@dataclass(frozen=True)
class Setup:
    """How all tiers are run, and on what machine."""

    tiers: tuple[TierSetup, ...]
    score: str | None = None
    """Of the confidence."""
    cpu: str = ""
    cores: int = 0

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Setup":
        """From JSON."""
        return cls(**{**content, "tiers": tuple(TierSetup(**tier) for tier in content["tiers"])})

    @property
    def keys(self) -> list[str]:
        return [tier.key for tier in self.tiers]

    def other_answers(self, then: "Setup") -> str | None:
        """What of `then` gave other answers than this does, in words that go on from "was chosen"; None: nothing."""
        return next(self._other_confidences(then), None) or next(self._other_arithmetic(then, self.keys), None)

    def other_confidences(self, then: "Setup") -> str | None:
        """Likewise, of what a threshold depends on: the last tier's answers may differ a little from CPU to CPU."""
        return next(self._other_confidences(then), None) or next(self._other_arithmetic(then, self.keys[:-1]), None)

    def other_times(self, then: "Setup") -> str | None:
        """What of `then` made other times than this does, in words that go on from "was measured"; None: nothing."""
        return self.other_answers(then) or next(self._other_speed(then), None)

    def _other_confidences(self, then: "Setup") -> Iterator[str]:
        if self.keys != then.keys:
            yield f"with {' and '.join(then.keys)}, and it runs on {' and '.join(self.keys)} now"
            return
        for number, (now, old) in enumerate(zip(self.tiers, then.tiers, strict=True), 1):
            if old.contents not in (None, now.contents):
                yield f"with another tier {number}: its weights, settings, tokenizer or graph are no longer the same"
            if old.max_length not in (None, now.max_length):
                yield f"with tier {number} reading {old.max_length} tokens, and it reads {now.max_length} now"
        if then.score not in (None, self.score):
            yield f"by the score {then.score}, and it is {self.score} now"

    def _other_arithmetic(self, then: "Setup", keys: list[str]) -> Iterator[str]:
        """Lower precisions differ between CPUs."""
        lower = [precision for key in keys if (precision := split_key(key)[1]) != "fp32"]
        if lower and then.cpu != self.cpu:
            yield f"in {lower[0]} on {then.cpu or 'a CPU that is not recorded'}; this is {self.cpu}"

    def _other_speed(self, then: "Setup") -> Iterator[str]:
        if then.cpu != self.cpu:
            yield f"on {then.cpu or 'a CPU that is not recorded'}; this is {self.cpu}"
        if then.cores != self.cores:
            yield f"with {then.cores or 'an unknown number of'} cores at hand; here are {self.cores}"
        for number, (now, old) in enumerate(zip(self.tiers, then.tiers, strict=True), 1):
            if (old.threads, old.batch_size) != (now.threads, now.batch_size):
                yield (
                    f"with tier {number} on {old.threads} threads in batches of {old.batch_size}, and it runs on "
                    f"{now.threads} in batches of {now.batch_size} now"
                )

"""What the generators of a transfer set have in common: settings that know how they are checked, dealt out and run."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from tangodistill.augment.corpus import Corpus

DRAWS_SINGLE, DRAWS_PAIR = 20, 10


@dataclass(frozen=True)
class SideRows:
    """One side of some source rows: a row for each variant that is to be made."""

    texts: Callable[[], list[str]]
    corpus: Callable[[], tuple[Corpus, np.ndarray]]
    """The tagged words of all sources, and which of its rows these are, (n,)."""


class Generator(ABC):
    """Settings of one kind of generator, as they stand in a stage file."""

    name: ClassVar[str]
    """Its key there."""
    needs_tags: ClassVar[bool] = False
    """Whether it works on words that are tagged with their part of speech."""
    share: float | None

    @abstractmethod
    def draws(self, pairs: bool) -> int:
        """Variants tried per source row."""

    @abstractmethod
    def check(self) -> None:
        """Raises UserError for a value out of its range."""


class VaryingGenerator(Generator):
    """Makes variants of source rows."""

    rows_per_shard: ClassVar[int]
    """What is under way is lost by a kill, so slow work comes in small pieces."""
    draws_per_text: int | None

    def draws(self, pairs: bool) -> int:
        return self.draws_per_text or (DRAWS_PAIR if pairs else DRAWS_SINGLE)

    @abstractmethod
    def vary(self, rows: SideRows, rng: np.random.Generator) -> tuple[pa.Array, np.ndarray | None]:
        """A variant of each row's text (n,), and (n,) bool where no word of it is left, which is dropped (or None)."""


class SamplingGenerator(Generator):
    """Writes texts that stand by themselves."""

    num_samples: int

    def draws(self, pairs: bool) -> int:
        return 1

    @abstractmethod
    def write(
        self, count: int, originals: list[list[str]], rng: np.random.Generator
    ) -> tuple[list[list[str]], dict[str, int]]:
        """New texts, one list per side, and how many of the `count` were dropped, by reason.

        Args: `originals` training texts, one list per side, for the first words.
        """

"""How an example is written for a causal language model, and read back from what the model writes."""

from collections.abc import Sequence

SEPARATOR = "\t"  # between the sides of a pair, and behind a label
CONDITIONING = "tangodistill_conditioning"  # keys of a language model's config.json
PREFIXES = "tangodistill_prefixes"


def to_lines(
    texts: Sequence[str], pairs: Sequence[str] | None = None, labels: Sequence[str] | None = None
) -> list[str]:
    """One line per example: the label's name where it is given, the text, its second side; a tab between.

    >>> to_lines(["a b"], pairs=["c"], labels=["yes"])
    ['yes\\ta b\\tc']
    """
    columns = [column for column in (labels, texts, pairs) if column is not None]
    return [SEPARATOR.join(_flat(part) for part in row) for row in zip(*columns, strict=True)]


def from_line(line: str, sides: int) -> list[str] | None:
    """The sides of a written example without its label; None where there are more or fewer, or one is empty.

    >>> from_line("a  b\\tc ", sides=2), from_line("a\\tb", sides=1), from_line("a\\t", sides=2)
    (['a b', 'c'], None, None)
    """
    parts = [_flat(part) for part in line.split(SEPARATOR)]
    return parts if len(parts) == sides and all(parts) else None


def _flat(text: str) -> str:
    return " ".join(text.split())

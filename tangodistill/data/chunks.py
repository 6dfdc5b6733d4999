"""A long input, a bounded part at a time: by its rows, and by their characters, since one row may be a book."""

from collections.abc import Iterable, Iterator


def chunks(rows: Iterable, size: int, characters: int) -> Iterator[list]:
    """Lists of `size` rows, of fewer where those hold `characters`; the last one is what is left.

    >>> list(chunks(["a", "b", "long", "c", "d", "e"], size=3, characters=4))
    [['a', 'b', 'long'], ['c', 'd', 'e']]
    >>> list(chunks([("long", "text"), "a"], size=3, characters=4))
    [[('long', 'text')], ['a']]
    """
    chunk: list = []
    held = 0
    for row in rows:
        chunk.append(row)
        held += characters_of(row)
        if len(chunk) == size or held >= characters:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def characters_of(row: object) -> int:
    """Of a text, or of several; 0 of what is none.

    >>> characters_of("text"), characters_of(("two", "texts")), characters_of(None)
    (4, 8, 0)
    """
    if isinstance(row, str):
        return len(row)
    return sum(map(characters_of, row)) if isinstance(row, tuple | list) else 0

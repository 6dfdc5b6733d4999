"""The text of files as people's tools save them: read where it is certain, else told what would fit."""

import codecs
from pathlib import Path

from tangodistill.user_error import UserError

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which begins alike
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHERS = ("cp1252", "cp1250", "cp1251", "cp932", "gb18030", "cp949")
"""Code pages of Western, Central European, Cyrillic, Japanese, Chinese and Korean Windows."""
_SAMPLE = 1 << 20  # bytes that a proposal is tried on
_EDGES = b" \t\r\n,;|\"'"


def decode(path: Path, encoding: str | None = None) -> str:
    """A file's text without its byte-order mark, line ends as they are.

    Args:
        encoding: None: UTF-8, or what a mark of UTF-16 or UTF-32 says.

    Raises:
        UserError: unreadable, or of another encoding; proposes what would fit.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    try:
        text = content.decode(encoding or marked or "utf-8").removeprefix("\ufeff")
    except LookupError:
        raise UserError(f"dataset.encoding is '{encoding}', which is none; for instance cp1252 or utf-16.") from None
    except UnicodeError as error:
        start, name = getattr(error, "start", 0), encoding or marked or "UTF-8"
        fitting = _fitting(content, start)
        tried = f", or set dataset.encoding to what reads it right: {fitting}" if fitting else ""
        raise UserError(f"{path}: not {name} text (byte {start}); save it as UTF-8{tried}.") from None
    if encoding is None and marked is None and 5 * content[:4096].count(0) > len(content[:4096]):
        order = "le" if content[1:2] == b"\0" else "be"
        raise UserError(f"{path}: looks like UTF-16 without its mark; set dataset.encoding to utf-16-{order}.")
    return text


def _fitting(content: bytes, start: int) -> str:
    """What other encodings make of the word at a byte, of those that can read the file's beginning."""
    begin, end = start, start + 1
    while begin > max(start - 15, 0) and content[begin - 1] not in _EDGES:
        begin -= 1
    while end < min(start + 15, len(content)) and content[end] not in _EDGES:
        end += 1
    lines = content[: max(_SAMPLE, end)]
    read = {}
    for name in _OTHERS:
        try:
            codecs.getincrementaldecoder(name)().decode(lines)  # the last character may be cut
            read[name] = content[begin:end].decode(name)
        except UnicodeError:
            continue
    return ", ".join(f"{name} ('{word}')" for name, word in read.items())

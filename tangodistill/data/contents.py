"""What files hold, as a hash: by it a stored number knows the weights that it was made with, wherever they lie."""

from collections.abc import Iterable
from pathlib import Path

import xxhash

SMALL_FILES = (
    *("config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt"),
)
"""Of a model folder, beside its weights."""
BLOCK = 1 << 20


def files_hash(paths: Iterable[Path]) -> str:
    """Of files' names and contents, in the order given. XXH3 reads a base-sized model's weights in a tenth of a second.

    Raises:
        OSError: a file can't be read.
    """
    digest = xxhash.xxh3_128()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def model_hash(name_or_folder: str | Path) -> str:
    """Of all that a model folder's answers depend on: weights, settings, tokenizer. Of a hub model its name.

    Of a model that is one file, such as word vectors, that file's.
    """
    folder = Path(name_or_folder)
    if folder.is_file():
        return files_hash([folder])
    if not folder.is_dir():
        return str(name_or_folder)
    small = [folder / name for name in SMALL_FILES if (folder / name).is_file()]
    return files_hash([*small, *sorted(folder.glob("*.safetensors"))])

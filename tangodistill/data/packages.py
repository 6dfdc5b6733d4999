"""stub"""
from pathlib import Path


def resolve(path: str) -> Path | str:
    return path

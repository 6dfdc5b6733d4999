"""The examples in the docstrings of the metrics and the cascade functions hold."""

import doctest
from importlib import import_module
from pkgutil import iter_modules

import pytest

from tangodistill import cascade

CASCADE = [f"tangodistill.cascade.{module.name}" for module in iter_modules(cascade.__path__)]


@pytest.mark.parametrize("name", ["tangodistill.metrics", *CASCADE])
def test_docstring_examples_hold(name):
    assert doctest.testmod(import_module(name)).failed == 0

"""Measurements and reports of these tests draw their bootstraps a few times."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def draw_few(few_draws):
    """See `few_draws`."""

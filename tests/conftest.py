"""Settings for all tests."""

from hypothesis import settings

# a loaded machine is no failure
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

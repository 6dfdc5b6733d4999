"""Settings for all tests: no hub, no W&B server, no time limits."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models crawl where threads wait for a busy core

from hypothesis import settings  # noqa: E402

# a loaded machine is no failure
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

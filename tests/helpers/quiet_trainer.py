"""A trainer that trains on the CPU and says nothing."""

import lightning as L


def trainer(folder, **settings):
    return L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )

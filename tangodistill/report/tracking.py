"""Runs in Weights & Biases: online with an API key, else offline by itself, and what a cascade logs there."""

from __future__ import annotations

import math
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import wandb
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from tangodistill.report.titles import METRICS

CURVE_ROWS = 100
INIT_TIMEOUT_S = 30.0  # W&B's own waits for its server three times as long


class RunLogger(WandbLogger):
    """Lightning's WandbLogger that never asks: with no API key it writes offline and says how to send that later.

    Where W&B cannot be reached or refuses the key it says so and writes offline too, in the stages to come as well.
    ``WANDB_MODE`` and ``wandb offline`` keep their meaning.

    Args:
        project: W&B project; ``WANDB_PROJECT`` where it is not given, else ``tangodistill``.
        name: what the run is called.
        group: groups the stages of one run of a recipe.
        job_type: the stage, for instance ``student``.
        save_dir: folder under which ``wandb/`` lies.
        settings: of ``wandb.Settings``, by name.
        kwargs: any other keyword of Lightning's WandbLogger and of ``wandb.init``: ``entity``, ``tags``, ``notes``, ...
    """

    unreachable = False

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        save_dir: str = ".",
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        own = {"silent": True, "init_timeout": INIT_TIMEOUT_S}  # what matters is told here, in one line
        super().__init__(
            project=project or os.environ.get("WANDB_PROJECT", "tangodistill"),
            name=name,
            group=group,
            job_type=job_type,
            save_dir=save_dir,
            settings=wandb.Settings(**own | (settings or {})),
            **kwargs,
        )
        self._wandb_init.pop("anonymous")  # of no effect any more, and warned about
        self._told = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, started at first use."""
        if self._experiment is None:
            if wandb.run is not None and getattr(self, "_attach_id", None) is None:
                wandb.finish()  # of another stage in this process: a logger is a run of its own
            Path(self.save_dir).mkdir(parents=True, exist_ok=True)  # else wandb writes to a temporary folder
            settings = wandb.setup().settings
            if settings.mode == "online" and (RunLogger.unreachable or not has_credentials(settings)):
                self._go_offline()
            try:
                run = super().experiment
            except wandb.Error as error:
                print(f"W&B cannot be used ({str(error).splitlines()[0]}), so runs are kept on this disk.")
                RunLogger.unreachable = True
                self._go_offline()
                run = super().experiment
            if not getattr(run, "offline", False) and run.url:
                print(f"W&B run: {run.url}")
            run.define_metric("epoch", hidden=True)
            run.define_metric("operating/deferral_rate", hidden=True)
            run.define_metric("operating/*", step_metric="operating/deferral_rate", summary="none")
        return self._experiment

    def _go_offline(self) -> None:
        self._wandb_init |= {"mode": "offline", "resume": None}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Lightning's own closing, and once the line that sends an offline run."""
        super().finalize(status)
        run = self._experiment
        if run is not None and not self._told and getattr(run, "offline", False):
            self._told = True
            print(f"W&B run kept on this disk. To send it: wandb sync {Path(run.dir).parent}")


def has_credentials(settings: wandb.Settings) -> bool:
    """Whether W&B can log in without asking: by a key or token of the settings, or by the netrc file."""
    if settings.api_key or settings.identity_token_file:
        return True
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        known = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return urlsplit(settings.base_url).hostname in known or "api.wandb.ai" in known


def log_cascade(
    logger: Logger | None, summary: Mapping[str, Any], operating_points: pd.DataFrame, figures: Mapping[str, Figure]
) -> None:
    """Log a measured cascade: scalars to any Lightning logger; the table and the figures to W&B as well.

    Keys: `tier{1,2}/` and its metrics, `speedup_at_99`, `speedup_at_98` (batch 1, interpolated; with `_best_batch` at
    best batch), `area`, `chosen/*`, `deebert/*`, `dynamic_tinybert/*`; table `operating_points`; one image per figure;
    `operating/*`, evenly spread operating points as curves over the deferral rate. Numbers that do not exist are left
    out.
    """
    if logger is None:
        return
    logger.log_hyperparams(_about(summary))
    logger.log_metrics(cascade_scalars(summary))
    if isinstance(logger, WandbLogger):
        _log_curves(logger, operating_points)
        logger.log_table("operating_points", dataframe=operating_points)
        for name, figure in figures.items():
            logger.log_image(name, [_pixels(figure)])


def log_paper(folder: Path, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Figure]) -> None:
    """Log tables and figures as one run of its own, kept under ``folder`` where W&B is offline."""
    logger = RunLogger(name="paper", job_type="paper", save_dir=str(folder))
    for name, frame in tables.items():
        logger.log_table(name, dataframe=frame)
    for name, figure in figures.items():
        logger.log_image(name, [_pixels(figure)])
    logger.finalize("success")
    wandb.finish()


def cascade_scalars(summary: Mapping[str, Any]) -> dict[str, float]:
    """The summary's numbers under their tracking keys; None and NaN are left out."""
    found = {
        f"tier{number}/{metric}": tier["metrics"].get(metric)
        for number, tier in enumerate(summary["tiers"], start=1)
        for metric in METRICS
    }
    for key in ("speedup_at_99", "speedup_at_98"):
        found[key] = summary[key]["batch1"]
        found[f"{key}_best_batch"] = summary[key]["best_batch"]
    found["area"] = summary["area"]
    found |= {f"chosen/{key}": value for key, value in summary["chosen"].items()}
    found |= _early_exit_scalars(summary["deebert"]) if "deebert" in summary else {}
    for kind in ("deebert", "dynamic_tinybert"):
        found |= _neighbour_scalars(kind, summary[kind]) if kind in summary else {}
    return {key: float(value) for key, value in found.items() if _is_number(value)}


def _early_exit_scalars(deebert: Mapping[str, Any]) -> dict[str, Any]:
    """Each exit's metrics, and the points run in batches."""
    found = {
        f"deebert/exit{number}/{metric}": value
        for number, scores in enumerate(deebert["metrics"], start=1)
        for metric, value in scores.items()
    }
    for point in deebert["batched"]:
        found[f"deebert/batched_speedup_at_{point['keeps']:.0%}".removesuffix("%")] = point["speedup"]
    return found


def _neighbour_scalars(kind: str, neighbour: Mapping[str, Any]) -> dict[str, Any]:
    """The speedups at batch 1, and the 99 % point as it ran."""
    found = {f"{kind}/{key}": neighbour[key]["batch1"] for key in ("speedup_at_99", "speedup_at_98")}
    point = neighbour["point_at_99"] or {}
    return found | {f"{kind}/point_at_99/{key}": value for key, value in point.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def _about(summary: Mapping[str, Any]) -> dict[str, Any]:
    measured_by = ("metric", "metric_title", "label_names", "positive")
    keys = ("task", "split", "n", *measured_by, "protocol", "machine", "versions", "seed")
    return {"cascade": {key: summary[key] for key in keys if key in summary}}


def _log_curves(logger: WandbLogger, operating_points: pd.DataFrame) -> None:
    cascade = operating_points[operating_points["kind"] == "cascade"].sort_values("deferral_rate")
    rows = np.unique(np.linspace(0, len(cascade) - 1, CURVE_ROWS).round().astype(int))
    columns = (
        "deferral_rate",
        *(name for name in METRICS if name in cascade),
        "speedup",
        "speedup_best_batch",
        "throughput_per_s",
        "throughput_best_batch_per_s",
    )
    for record in cascade.iloc[rows][list(columns)].to_dict("records"):
        logger.log_metrics({f"operating/{key}": value for key, value in record.items() if _is_number(value)})


def _pixels(figure: Figure) -> np.ndarray:
    """The figure as (height, width, 3) uint8."""
    figure.set_dpi(150)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()

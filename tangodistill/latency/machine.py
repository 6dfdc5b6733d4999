"""The machine that times were measured on, as a JSON-safe record."""

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from tangodistill.latency.cores import available_cores


def describe_machine() -> dict:
    """CPU, cores, threads, memory and versions. How busy it was while something was timed, a `Load` tells."""
    import torch  # not on the serving path, which asks for the CPU's name only

    return {
        "cpu": cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "available_cores": available_cores(),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "torch_threads": torch.get_num_threads(),
        "torch_interop_threads": torch.get_num_interop_threads(),
        "blas": _torch_setting("BLAS_INFO") or ("mkl" if torch.backends.mkl.is_available() else None),
        "attention_kernel": "flash" if torch.backends.cuda.flash_sdp_enabled() else "math",
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "os": platform.platform(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def library_versions() -> dict[str, str]:
    """Versions of what the times and answers depend on."""
    packages = ("torch", "transformers", "tokenizers", "onnxruntime", "openvino", "numpy")
    return {"python": sys.version.split()[0]} | {name: version(name) for name in packages}


def cpu_model() -> str:
    """The CPU's name as the system gives it."""
    match = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo") or "", re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _torch_setting(name: str) -> str | None:
    """A build setting such as BLAS_INFO=mkl out of PyTorch's configuration text."""
    import torch

    match = re.search(rf"{name}=(\w+)", torch.__config__.show())
    return match.group(1) if match else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None

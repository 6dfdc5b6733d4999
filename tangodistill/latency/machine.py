"""The machine that times were measured on, as a JSON-safe record."""

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from tangodistill.latency.cores import available_cores

GENERATION = (
    *("cpu family", "model", "stepping"),  # x86
    *("CPU implementer", "CPU variant", "CPU part", "CPU revision"),  # ARM
)
VECTORS = {
    "flags": re.compile(r"\b(?:avx2|avx512\w*|avx_\w+|amx_\w+|fma)\b"),
    "Features": re.compile(r"\b(?:asimd\w*|sve\w*|sme\w*|bf16|i8mm)\b"),
}
"""Instructions that kernels are chosen by, as /proc/cpuinfo lists them on x86 and on ARM."""


def describe_machine() -> dict:
    """CPU, cores, threads, memory and versions. How busy it was while something was timed, a `Load` tells."""
    import torch  # not on the serving path, which asks for the CPU's name only

    return {
        "cpu": cpu_model(),
        "cpu_identity": cpu_identity(),
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


def cpu_identity() -> str:
    """The CPU by all that its answers in lower precisions and its times depend on: one name stands for many CPUs.

    `AMD EPYC (cpu family 26, model 17, stepping 0; avx2 avx512_bf16 ...)`: name, generation, vector instructions.
    """
    if not (text := _read("/proc/cpuinfo")):
        return _sysctl("machdep.cpu.brand_string") or cpu_model()
    numbers = [f"{name} {value}" for name in GENERATION if (value := "+".join(_values(text, name)))]
    vectors = sorted(
        {flag for name, wanted in VECTORS.items() for line in _values(text, name) for flag in wanted.findall(line)}
    )
    about = "; ".join(filter(None, (", ".join(numbers), " ".join(vectors))))
    return f"{cpu_model()} ({about})" if about else cpu_model()


def _values(text: str, name: str) -> list[str]:
    """What /proc/cpuinfo says under a name, of any core, each once."""
    return sorted(set(re.findall(rf"^{name}[ \t]*:[ \t]*(\S.*)$", text, re.MULTILINE)))


def _sysctl(name: str) -> str | None:
    try:
        return subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


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

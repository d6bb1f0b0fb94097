"""The machine that a figure was measured on, and what a process of its own took."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The folder from which `benchmarks` is imported."""


def machine_facts() -> dict[str, Any]:
    """Processor, cores, operating system and Python, as plain JSON values."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def versions_of(*packages: str) -> dict[str, str]:
    """Versions of the packages among these that are installed."""
    return {package: metadata.version(package) for package in packages if _is_installed(package)}


def _is_installed(package: str) -> bool:
    return next(iter(metadata.distributions(name=package)), None) is not None


def peak_memory_mb() -> float:
    """The most memory that this process has had resident so far, in 10^6 bytes.

    On Linux the program's own, from /proc: `getrusage` also counts what the process was before it became this program,
    which for a child is a copy of its parent.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 1e6


_UNIT = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB


def module_command(module: str, *arguments: object) -> list[str]:
    """The command line that runs a module of this package; `child_environment` lets it be found."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def child_environment() -> dict[str, str]:
    """The environment of this process, in which Python also finds this package."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def answer_of(module: str, *arguments: object) -> Any:
    """What a module of this package, run in a process of its own, prints last, as JSON."""
    done = subprocess.run(
        module_command(module, *arguments), env=child_environment(), check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def onlygood_command(*arguments: object, codes: tuple[int, ...] = (0, 1)) -> tuple[float, float]:
    """Wall time in seconds and peak memory in 10^6 bytes of one run of the command line, in a process of its own.

    Raises:
        RuntimeError: it ends with another exit code than these.
    """
    script = (
        "import json, resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode\n"
        "print(json.dumps([time.perf_counter() - started, "
        "resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code]))\n"
    )
    line = [sys.executable, "-c", script, sys.executable, "-m", "onlygood", *map(str, arguments)]
    wall_s, peak, code = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    if code not in codes:
        raise RuntimeError(f"onlygood {' '.join(map(str, arguments))} must end with one of {codes}, got {code}")
    return wall_s, peak * _UNIT / 1e6

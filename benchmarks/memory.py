"""Peak memory of one call, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def own_peak_mib() -> float:
    """Of this process since it began; getrusage would give that of the one that started it, where it is larger."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def peak_mib(script: str, function: str, folder: Path) -> float:
    """Peak memory in MiB of a new process that calls ``function`` of a benchmark's ``script`` with ``folder``."""
    name = Path(script).stem
    code = f"import sys, pathlib; sys.path.insert(0, {str(Path(script).parent)!r}); import memory, {name}; "
    code += f"{name}.{function}(pathlib.Path({str(folder)!r})); print(memory.own_peak_mib())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])

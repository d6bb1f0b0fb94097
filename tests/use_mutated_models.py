"""Uses mutated model files one after the other, within limits: a process of its own, since some might take it down.

For each, on a line of standard output, what it is before it is used, and then what came of it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np

import onlygood
from mutations import mutated
from onlygood.cli import main as run_command
from onlygood.errors import OnlygoodError
from onlygood.graph.model_file import read_model_file
from textures import texture

# A file of ours takes a few hundredths of a second and a few megabytes.
LONGEST_S = 60
MOST_BYTES = 1_500_000_000
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    statm = Path("/proc/self/statm")
    if statm.exists():
        now = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MOST_BYTES, now + MOST_BYTES))


def use(path: Path) -> str:
    """What came of it: "refused", "answered", or what was wrong with the answer."""
    for command in ("info", "info --json"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run_command([*command.split(), str(path)])
        if "an error that should not happen" in said.getvalue():
            return f"{command}: {said.getvalue()}"
        if code not in (0, 2):
            return f"{command} ended with {code}"
        if CONTROL.search(said.getvalue()):
            return f"{command} prints {CONTROL.findall(said.getvalue())}"
    try:
        file = read_model_file(path)
        inspector = onlygood.Inspector(SimpleNamespace(file=file))
        image = texture(500)
        if file.metadata.input.dtype == "uint16":
            image = image.astype(np.uint16)
        found = inspector(image)
    except OnlygoodError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"a message of several lines: {error}"
    wrong = []
    if not np.isfinite(found.score):
        wrong.append(f"score {found.score}")
    if not 0.0 <= found.p_value <= 1.0:
        wrong.append(f"p-value {found.p_value}")
    if not isinstance(found.is_anomaly, bool):
        wrong.append(f"verdict {found.is_anomaly!r}")
    if found.anomaly_map is None or found.anomaly_map.shape != image.shape[:2]:
        wrong.append("a map of another size")
    elif not np.isfinite(found.anomaly_map).all():
        wrong.append("a map that is not finite")
    return "; ".join(wrong) or "answered"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    content = options.model.read_bytes()
    output = sys.stdout
    limit_memory()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.onnx"
        for number in range(options.first, options.first + options.count):
            changed, what = mutated(content, np.random.default_rng([number, len(content)]))
            path.write_bytes(changed)
            print(f"{number} begins: {what}", file=output, flush=True)
            faulthandler.dump_traceback_later(LONGEST_S, exit=True)
            started = time.perf_counter()
            try:
                came = use(path)
            except Exception as error:
                came = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
            faulthandler.cancel_dump_traceback_later()
            took = time.perf_counter() - started
            print(f"{number} ends after {took:.2f} s: {' '.join(came.split())}", file=output, flush=True)


if __name__ == "__main__":
    main()

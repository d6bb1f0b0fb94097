"""Training with gradients: networks, one loop, and the arrays that go into a graph. The only part that knows torch."""

import os
import sys

# How often a thread of GNU's OpenMP, which torch computes with on Linux, looks for new work before it sleeps. Left to
# itself it looks for milliseconds, and beside a busy neighbour on the same cores that makes training two to three times
# slower; this short it costs nothing alone. OpenMP reads it once, when torch is loaded, and only if nobody has set it.
SPINS = "10000"

if "torch" not in sys.modules and not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        import torch  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]

"""How much memory this process took."""

import resource
import sys


def peak_memory_mb() -> float:
    """The most it held so far, in MB of 2^20 bytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)

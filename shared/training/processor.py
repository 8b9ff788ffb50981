"""What the processor can do that training asks for."""

import re
from pathlib import Path


def computes_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether it has instructions for bfloat16; True where nothing is known (no Linux, no x86)."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:
        return True
    return flags is None or bool({"avx512_bf16", "amx_bf16"} & set(flags[1].split()))

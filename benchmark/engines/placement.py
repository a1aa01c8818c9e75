"""Placement: the devices on which an engine works, and how it shares them out."""

from dataclasses import dataclass
from typing import Final, Literal

AUTO: Final = "auto"
CPU: Final = "cpu"
"""Words that stand for devices, besides the numbers of GPUs."""
Jobs = int | Literal["auto"] | None


@dataclass(frozen=True)
class Placement:
    """Devices on which an engine works, and how it shares them out.

    Args:
        devices: ``"cpu"``; numbers of GPUs, as in ``"0,1"``; or ``"auto"``: all GPUs, or the CPU if
            there are none.
        jobs: Workers on each device; None: one on a GPU, one for each core on the CPU; ``"auto"``:
            as many as the memory of a GPU has room for.
        per_run: Devices that train one run together.
        address: Head of an existing cluster, as ``host:port``; None: this machine alone.
    """

    devices: str = AUTO
    jobs: Jobs = None
    per_run: int = 1
    address: str | None = None

"""An NVIDIA device: whether there is one that can be used, and how many pictures fit it, without loading a library."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
ASK_FREE = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
PICTURE_MB = 100  # of activations and workspace at side 224, amply
UNKNOWN_BATCH, LEAST_BATCH, MOST_BATCH = 32, 16, 128


def device_present() -> bool:
    """Whether an NVIDIA driver runs, and ``CUDA_VISIBLE_DEVICES`` does not hide its devices."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and NVIDIA_DRIVER.exists()


def free_megabytes() -> int | None:
    """The free memory of the device that has least, as its driver's tool says; None where that does not answer."""
    try:
        said = subprocess.run(ASK_FREE, capture_output=True, text=True, timeout=10, check=True).stdout
        return min(int(line) for line in said.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def device_batch(megabytes: int | None, side: int) -> int:
    """How many pictures of an input side go through a device at once: a power of two that takes half its free memory.

    At least 16 and at most 128, which keeps a device busy; 32 where the memory is unknown.
    """
    if megabytes is None:
        return UNKNOWN_BATCH
    fitting = megabytes / 2 / (PICTURE_MB * (side / 224) ** 2)
    return max(LEAST_BATCH, min(MOST_BATCH, 1 << max(int(fitting).bit_length() - 1, 0)))

"""Commands run as somebody whom permissions bind, which they do not root; tests in CI run as root."""

from __future__ import annotations

import os
from pathlib import Path

IS_ROOT = os.geteuid() == 0
# The start of a command that runs as root whom permissions bind; for anybody else they do.
BOUND_BY_MODES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if IS_ROOT else []


def as_stranger() -> list[str]:
    """The start of a command that runs as a user without an entry in passwd, who may read what root may.

    Only root can start one; for anybody else the command runs as it is.
    """
    if not IS_ROOT:
        return []
    bounds = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    reads_all = int(bounds.split()[1], 16) >> 2 & 1  # CAP_DAC_READ_SEARCH, for a Python below /root
    given = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"] if reads_all else []
    return ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *given]


def unwritable(folder: Path) -> Path:
    """A folder that is there and cannot be written to, as somebody else's is."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    return folder

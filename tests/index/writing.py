"""What the index tests run in processes of their own, to be killed, limited or watched."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import ImageRecord

ROOT = Path(__file__).resolve().parents[2]
DIM = 64
BATCH = 10


def pictures(start: int, stop: int):
    """Records and unit vectors of the pictures numbered ``start`` to ``stop``; a number always gives the same."""
    records = [ImageRecord(f"{i:05}.jpg", f"label {i % 7}", f"{i:064x}", 4, 3, i + 0.5, i) for i in range(start, stop)]
    rows = [np.random.default_rng(i).standard_normal(DIM) for i in range(start, stop)]
    vectors = np.array([row / np.linalg.norm(row) for row in rows], np.float32).reshape(-1, DIM)
    return records, vectors


def filled(address: str, n: int) -> None:
    """Makes an index of the first ``n`` pictures, and closes it."""
    with create_index(address, new_passport(None, dim=DIM)) as index:
        index.add(*pictures(0, n))


PREAMBLE = """
import os, resource, sys, tempfile
from pathlib import Path
from imgsearch_kit.errors import KitError
from imgsearch_kit.index import create_index, new_passport, open_index
from tests.index.writing import BATCH, filled, pictures
address = sys.argv[1]
"""


def start(code: str, *arguments: object, **options) -> subprocess.Popen[str]:
    """Python in a process of its own, with what the preamble imports, and ``arguments`` in sys.argv."""
    command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run(code: str, *arguments: object) -> str:
    """What such a process printed, once it has ended well."""
    process = start(code, *arguments)
    out, error = process.communicate()
    assert process.returncode == 0, error
    return out.strip()


DROP_ROOT = """
with tempfile.TemporaryDirectory() as folder:
    for kind in ("local", "npz"):  # imports all there is to import, which another user might not be allowed to read
        filled(f"{kind}:{folder}/{kind}", 1)
        open_index(f"{kind}:{folder}/{kind}").close()
if os.getuid() == 0:  # root may read and write anything
    os.setgid(65534)
    os.setuid(65534)
"""

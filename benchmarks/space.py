"""How long a packed Space takes from its start to its first answer, and its memory.

Each round starts the program anew, in the environment given, with a home folder of its own that is empty.

    imgsearch pack -o SPACE; python benchmarks/space.py SPACE PICTURE [--python FILE] [--rounds 5] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results" / "space.json"
PART = 'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg'


def answer(url: str, picture: bytes) -> dict[str, Any]:
    """The answer to a picture."""
    body = f"--part\r\n{PART}\r\n\r\n".encode() + picture + b"\r\n--part--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=part"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/search", body, kind), timeout=120) as found:
        return json.loads(found.read())


def one_start(space: Path, python: str, picture: bytes) -> dict[str, float]:
    """Seconds to the first answer, and the peak memory in MB, of one start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as log:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "GRADIO_SERVER_PORT": str(port)}
        started = time.perf_counter()
        process = subprocess.Popen([python, "app.py"], cwd=space, env=environment, stdout=log, stderr=log)
        try:
            while True:
                try:
                    answer(f"http://127.0.0.1:{port}", picture)
                    break
                except urllib.error.HTTPError:
                    raise
                except OSError:
                    if process.poll() is not None:
                        log.seek(0)
                        raise SystemExit(log.read().decode()) from None
                    time.sleep(0.02)
            first = time.perf_counter() - started
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1e3  # type: ignore[index]
        finally:
            process.terminate()
            process.wait(30)
    return {"first_s": first, "peak_mb": peak}


def main() -> None:
    """Starts the Space several times, prints the figures and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    before = os.getloadavg()[0]
    rounds = [one_start(wish.space, wish.python, wish.picture.read_bytes()) for _ in range(wish.rounds)]
    figures = {name: round(median(each[name] for each in rounds), 2) for name in rounds[0]}
    print(figures)
    document = {
        "question": "how soon a packed Space answers, and what memory it takes",
        "targets": {"first_s": 5, "peak_mb": 700},
        "rounds": wish.rounds,
        **figures,
        "load_before": round(before, 2),
    }
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

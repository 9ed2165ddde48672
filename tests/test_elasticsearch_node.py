"""The servers the other tests run against start, end, and end with who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests import elasticsearch_node
from tests.conftest import require

START = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests import elasticsearch_node
node = elasticsearch_node.Node().__enter__()
print(node.url, node.home, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def parts():
    what, command = elasticsearch_node.missing()
    require(not what, what, command)


def answers(url):
    try:
        with urllib.request.urlopen(url + "/_cluster/health", timeout=10):
            return True
    except OSError:
        return False


def test_a_server_ends_when_left():
    with elasticsearch_node.Node() as node:
        assert answers(node.url)
    assert not answers(node.url)
    assert not node.home.exists()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals are sent as on Linux and macOS")
def test_a_server_ends_with_the_process_that_started_it():
    tests = str(Path(elasticsearch_node.__file__).parent)
    parent = subprocess.Popen([sys.executable, "-c", START, tests], stdout=subprocess.PIPE, text=True)
    try:
        url, home = parent.stdout.readline().split()
        assert answers(url)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    end = time.monotonic() + 30
    while answers(url) and time.monotonic() < end:
        time.sleep(0.1)
    assert not answers(url)
    subprocess.run(["rm", "-r", home], check=True)  # whoever is killed cannot tidy up


def test_a_server_that_cannot_start_says_why():
    with pytest.raises(RuntimeError, match=r"did not become ready(.|\n)*unknown setting \[no\.such\.setting\]"):
        elasticsearch_node.Node(settings={"no.such.setting": "1", "discovery.type": "single-node"}).__enter__()

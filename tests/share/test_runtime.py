"""Where the web build of ONNX Runtime comes from, and what is said where it cannot be had."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import sys
import tarfile
import threading

import pytest

from imgsearch_kit.errors import BadQuery, ServerUnavailable
from imgsearch_kit.share.runtime import LICENCES, RUNTIME_FILES, VERSION, runtime_files


def test_npm_brings_it_once_and_its_licence_travels_along(runtime, own_cache):
    kept = own_cache / "runtime" / f"onnxruntime-web-{VERSION}"
    kept.mkdir(parents=True)
    for name in RUNTIME_FILES:
        (kept / name).symlink_to(runtime / name)
    files = runtime_files()  # no npm is started
    assert files.keys() == {*RUNTIME_FILES, *LICENCES}
    assert "MIT License" in files["LICENSE"].read_text()


def test_it_may_come_from_a_folder(runtime, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/dist").symlink_to(runtime)
    assert runtime_files(tmp_path)[RUNTIME_FILES[0]].parent == tmp_path / "package/dist"
    with pytest.raises(BadQuery, match=rf"has no ort.wasm.min.mjs, .* npm pack onnxruntime-web@{VERSION}"):
        runtime_files(tmp_path / "package" / "other")


def test_a_folder_of_another_version_is_refused(runtime, tmp_path):
    for name in RUNTIME_FILES:
        (tmp_path / name).write_bytes((runtime / name).read_bytes()[:1000].replace(VERSION.encode(), b"0.0.1"))
    with pytest.raises(BadQuery, match=f"is not of onnxruntime-web {VERSION}, the version of this kit"):
        runtime_files(tmp_path)


def test_without_npm_a_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(BadQuery, match=r"npm is not installed here\. Install npm .* --runtime FOLDER"):
        runtime_files()


def test_a_registry_out_of_reach_is_said(monkeypatch, runtime):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/")
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
    with pytest.raises(ServerUnavailable, match=rf"npm could not bring onnxruntime-web {VERSION} \(ECONNREFUSED\)"):
        runtime_files()


def test_another_file_than_the_pinned_one_is_refused(monkeypatch, runtime, tmp_path, own_cache):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", false_registry())
    monkeypatch.setenv("NPM_CONFIG_CACHE", str(tmp_path / "npm"))
    with pytest.raises(ServerUnavailable, match=f"npm brought another file than onnxruntime-web {VERSION}"):
        runtime_files()
    assert not (own_cache / "runtime" / f"onnxruntime-web-{VERSION}").exists()


def false_registry():
    """The address of a registry that has another package under this name and version."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        text = json.dumps({"name": "onnxruntime-web", "version": VERSION}).encode()
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    package = content.getvalue()

    class Registry(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            home = f"http://127.0.0.1:{self.server.server_port}"
            dist = {"tarball": f"{home}/it.tgz", "shasum": hashlib.sha1(package).hexdigest()}
            about = {"name": "onnxruntime-web", "version": VERSION, "dist": dist}
            known = {"name": "onnxruntime-web", "dist-tags": {"latest": VERSION}, "versions": {VERSION: about}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(package if self.path.endswith(".tgz") else json.dumps(known).encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"

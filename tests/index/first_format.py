"""Makes indexes as the kit's first format had them: without inode and ctime of a picture's file."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from pathlib import Path

import numpy as np

from imgsearch_kit.index.elastic import bodies, bulk, replacing
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.methods import parse_method
from imgsearch_kit.records import IndexPassport

TABLES = f"""
PRAGMA page_size = 16384;
PRAGMA journal_mode = WAL;
CREATE TABLE passport (json TEXT NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE records (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label TEXT, sha256 TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, mtime REAL NOT NULL, size INTEGER NOT NULL);
CREATE TABLE vectors (key INTEGER PRIMARY KEY REFERENCES records ON DELETE CASCADE, vector BLOB NOT NULL);
CREATE TABLE failures (
    path TEXT PRIMARY KEY, reason TEXT NOT NULL, size INTEGER NOT NULL, mtime REAL NOT NULL);
PRAGMA application_id = {int.from_bytes(b"imgs", "big")};
PRAGMA user_version = 1;
"""


def write_local(path: Path, records, vectors, passport: IndexPassport) -> None:
    """An index in a file, as the first format's own statements make it."""
    plain = passport.to_json() | {"format": 1}
    del plain["count"], plain["generation"]
    db = sqlite3.connect(path)
    db.executescript(TABLES)
    db.execute("INSERT INTO passport VALUES (?, ?)", (json.dumps(plain), 3))
    rows = [(i, r.id, r.label, r.sha256, r.width, r.height, r.mtime, r.size) for i, r in enumerate(records, 1)]
    db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    blobs = [(i, vector.astype("<f4").tobytes()) for i, vector in enumerate(vectors, 1)]
    db.executemany("INSERT INTO vectors VALUES (?, ?)", blobs)
    db.commit()
    db.close()


def write_archive(path: Path, records, vectors, passport: IndexPassport) -> None:
    """An archive as the first format's kit wrote it."""
    texts = {"ids": "id", "labels": "label", "sha256": "sha256"}
    numbers = {"widths": "width", "heights": "height", "mtimes": "mtime", "sizes": "size"}
    arrays = {name: np.array([getattr(r, field) or "" for r in records]) for name, field in texts.items()}
    arrays |= {name: np.array([getattr(r, field) for r in records]) for name, field in numbers.items()}
    arrays |= {"passport": np.array(json.dumps(passport.to_json() | {"format": 1})), "failures": np.array("[]")}
    np.savez(path, vectors=vectors, **arrays)


def write_elastic(address: str, records, vectors, passport: IndexPassport) -> None:
    """An index on a server whose mapping does not know the new fields."""
    passport = dataclasses.replace(passport, method="flat", format=1)
    method, server = parse_method("flat", passport.dim), Server(address)
    name = f"{server.name}-00000000"
    body = bodies.index_body(method, passport, [server.name], replacing.write_alias(name))
    for field in ("inode", "ctime"):
        del body["mappings"]["properties"][field]
    server.request("PUT", f"/{name}", body)
    actions = [
        bulk.index_action(r.id, bodies.document_id(r.id), bodies.document(r, vector, method, pack=False))
        for r, vector in zip([dataclasses.replace(r, inode=0, ctime=0.0) for r in records], vectors, strict=True)
    ]
    assert [done.reason for done in bulk.write(server, replacing.write_alias(name), actions)] == [""] * len(records)
    server.request("POST", f"/{name}/_refresh")
    server.close()

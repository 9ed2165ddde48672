"""The tables of a local index, and the statements that read and write them."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.index.stored import newer_format, read_passport
from imgsearch_kit.records import FORMAT_VERSION, Failure, ImageRecord, IndexPassport, Vectors

APPLICATION_ID = int.from_bytes(b"imgs", "big")  # in the file's header; tells an index from other SQLite files
# The columns of records that the first format did not have, in the order of ``RECORD``.
ADDED = {"inode": "INTEGER NOT NULL DEFAULT 0", "ctime": "REAL NOT NULL DEFAULT 0"}
SCHEMA = f"""
CREATE TABLE passport (json TEXT NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE records (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label TEXT, sha256 TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, mtime REAL NOT NULL, size INTEGER NOT NULL,
    {", ".join(f"{column} {kind}" for column, kind in ADDED.items())});
CREATE TABLE vectors (key INTEGER PRIMARY KEY REFERENCES records ON DELETE CASCADE, vector BLOB NOT NULL);
CREATE TABLE failures (
    path TEXT PRIMARY KEY, reason TEXT NOT NULL, size INTEGER NOT NULL, mtime REAL NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
"""
LARGEST_KEY = 2**63 - 1
# The least key that each commit has added, LARGEST_KEY if it has only deleted, so that it is known which records have
# changed since any generation: keys only grow within a commit, and are above all keys of then. Triggers note it
# whichever kit writes, and a file without this table is as good as before, so it is no new format. ``stamp`` tells
# copies of a file apart that were changed.
COMMITS = (
    "CREATE TABLE commits (generation INTEGER PRIMARY KEY, key INTEGER NOT NULL, stamp INTEGER NOT NULL)",
    "CREATE TRIGGER noted AFTER INSERT ON records BEGIN "
    "INSERT INTO commits SELECT generation + 1, new.key, random() FROM passport WHERE true "
    "ON CONFLICT (generation) DO UPDATE SET key = excluded.key WHERE key > excluded.key; END",
    "CREATE TRIGGER noted_deletion AFTER DELETE ON records BEGIN "
    f"INSERT OR IGNORE INTO commits SELECT generation + 1, {LARGEST_KEY}, random() FROM passport; END",
    "INSERT INTO commits SELECT generation, (SELECT coalesce(max(key), 0) + 1 FROM records), random() FROM passport",
    "CREATE INDEX labels ON records (label)",
)
# The columns of records, after its key; the few paths that differ from the ids are in a separate table.
RECORD = [field.name for field in dataclasses.fields(ImageRecord) if field.name != "path"]
ID_IN_LIST = "id IN (SELECT value FROM json_each(?))"  # one parameter, however many ids


def check_kind(db: sqlite3.Connection, address: str) -> None:
    """Checks that a file that is not empty is an index.

    :raises IndexMismatch: when another program made it.
    :raises VersionMismatch: when a newer kit made it.
    """
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        raise IndexMismatch(
            f"The SQLite file at {address} belongs to another program; its tables are {', '.join(tables)}. "
            "Give the address of an index, or of a new file."
        )
    version = version_of(db)
    if not 1 <= version <= FORMAT_VERSION:
        raise newer_format(address, version)


def version_of(db: sqlite3.Connection) -> int:
    """The format version of the index."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def upgrade(db: sqlite3.Connection) -> None:
    """Gives an index what it lacks of the present format, within the transaction of the first change."""
    if version_of(db) < FORMAT_VERSION:
        for column, kind in ADDED.items():
            db.execute(f"ALTER TABLE records ADD COLUMN {column} {kind}")
        db.execute("UPDATE passport SET json = json_set(json, '$.format', ?)", (FORMAT_VERSION,))
        db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    if not has_table(db, "commits"):
        _note_commits(db)


def _note_commits(db: sqlite3.Connection) -> None:
    for statement in COMMITS:
        db.execute(statement)


def create_tables(db: sqlite3.Connection, passport: IndexPassport) -> None:
    """Makes the tables of an index, with its passport in them."""
    for statement in SCHEMA.split(";"):  # executescript would commit before the passport is in
        db.execute(statement)
    db.execute("INSERT INTO passport VALUES (?, ?)", (passport_json(passport), passport.generation))
    _note_commits(db)


def passport(db: sqlite3.Connection, address: str) -> IndexPassport:
    """The passport of the index, with its generation and count.

    :raises IndexDamaged: when there is none, it cannot be read, or its vectors have another length.
    """
    counts = "(SELECT count(*) FROM records), (SELECT length(vector) FROM vectors LIMIT 1)"
    row = db.execute(f"SELECT json, generation, {counts} FROM passport").fetchone()
    text, generation, count, size = row or ("", 0, 0, None)

    def counted(plain: Any) -> IndexPassport:
        found = IndexPassport.from_json(plain | {"generation": generation, "count": count})
        if size not in (None, 4 * found.dim):
            raise ValueError(f"dim is {found.dim}, and a vector has {size} bytes")
        return found

    return read_passport(address, text, counted)


Maker = tuple[str | None, int, str | None]  # spec, dimension and baked ranking of the vectors, as they are stored


def maker(db: sqlite3.Connection) -> Maker:
    """The extractor, dimension and baked ranking of the vectors."""
    found: Maker = db.execute(
        "SELECT json_extract(json, '$.spec'), json_extract(json, '$.dim'), json_extract(json, '$.baked') FROM passport"
    ).fetchone()
    return found


def generation(db: sqlite3.Connection) -> int:
    """The number of committed changes."""
    return int(db.execute("SELECT generation FROM passport").fetchone()[0])


def passport_json(passport: IndexPassport) -> str:
    """The passport as it is stored: of the present format, without count and generation, which the tables give."""
    plain: dict[str, Any] = passport.to_json() | {"format": FORMAT_VERSION}
    del plain["count"], plain["generation"]
    return json.dumps(plain)


def records(db: sqlite3.Connection, where: str = "", given: Sequence[str] = ()) -> list[ImageRecord]:
    """The records in id order, all or those that ``where`` keeps."""
    query = f"SELECT {_columns(db)} FROM records {where} ORDER BY id"
    return [ImageRecord(*row) for row in db.execute(query, given)]


def records_of(db: sqlite3.Connection, ids: Sequence[str]) -> list[ImageRecord]:
    """The records of ``ids``, in id order."""
    return records(db, f"WHERE {ID_IN_LIST}", [ids_json(ids)])


def _columns(db: sqlite3.Connection) -> str:
    """The columns of ``records`` in the order of the fields of a record."""
    columns = {field.name: field.name for field in dataclasses.fields(ImageRecord)}
    columns["path"] = "''"
    if has_table(db, "paths"):
        columns["path"] = "coalesce((SELECT path FROM paths WHERE paths.key = records.key), '')"
    if version_of(db) < FORMAT_VERSION:
        columns |= dict.fromkeys(ADDED, "0")
    return ", ".join(columns.values())


def keyed(db: sqlite3.Connection, keys: Iterable[int], dim: int) -> tuple[list[int], list[ImageRecord], Vectors]:
    """The keys that are still there, in ascending order, with their records and ``(n, dim)`` vectors."""
    query = (
        f"SELECT key, vector, {_columns(db)} FROM records JOIN vectors USING (key) "
        "WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key"
    )
    rows = db.execute(query, (json.dumps(sorted(keys)),)).fetchall()
    matrix = matrix_of([row[1] for row in rows], dim)
    return [row[0] for row in rows], [ImageRecord(*row[2:]) for row in rows], matrix


def matrix_of(blobs: Sequence[bytes], dim: int) -> Vectors:
    """The stored vectors as the rows of a matrix that may not be written to."""
    return np.frombuffer(b"".join(blobs), "<f4").reshape(-1, dim).astype(np.float32, copy=False)


def vectors_by_id(
    db: sqlite3.Connection, dim: int, where: str = "", given: Sequence[Any] = ()
) -> tuple[npt.NDArray[np.object_], Vectors]:
    """The ids that ``where`` keeps, in ascending order, and their ``(n, dim)`` vectors, not to be written to."""
    rows = db.execute(f"SELECT id, vector FROM records JOIN vectors USING (key) {where} ORDER BY id", given).fetchall()
    return np.array([id_ for id_, _ in rows], dtype=object), matrix_of([blob for _, blob in rows], dim)


def count_records(db: sqlite3.Connection, least: int = 0) -> int:
    """How many records there are with keys of at least ``least``."""
    query = "SELECT count(*) FROM records" + (f" WHERE key >= {least}" if least else "")
    return int(db.execute(query).fetchone()[0])


def present(db: sqlite3.Connection, keys: Iterable[int]) -> list[int]:
    """Those of the keys that records have."""
    query = "SELECT key FROM records WHERE key IN (SELECT value FROM json_each(?))"
    return [key for (key,) in db.execute(query, (json.dumps(list(keys)),))]


def last_commit(db: sqlite3.Connection) -> tuple[int, int]:
    """Generation and stamp of the last commit that has added or deleted records; of now where none are noted."""
    if not has_table(db, "commits"):
        return generation(db), 0
    found = db.execute("SELECT generation, stamp FROM commits ORDER BY generation DESC LIMIT 1").fetchone()
    return int(found[0]), int(found[1])


def first_since(db: sqlite3.Connection, commit: tuple[int, int]) -> int | None:
    """The least key of the records that were added after a commit, above all others where there are none.

    None where the file's history has no such commit.
    """
    if not has_table(db, "commits"):
        return LARGEST_KEY if commit == last_commit(db) else None
    if not db.execute("SELECT 1 FROM commits WHERE generation = ? AND stamp = ?", commit).fetchone():
        return None
    (least,) = db.execute("SELECT min(key) FROM commits WHERE generation > ?", commit[:1]).fetchone()
    return LARGEST_KEY if least is None else int(least)


def insert(db: sqlite3.Connection, pairs: Sequence[tuple[ImageRecord, Vectors]]) -> None:
    """Writes records of new ids with their vectors."""
    (last,) = db.execute("SELECT coalesce(max(key), 0) FROM records").fetchone()
    rows = ((last + i, *attrgetter(*RECORD)(record)) for i, (record, _) in enumerate(pairs, 1))
    db.executemany(f"INSERT INTO records VALUES (?{', ?' * len(RECORD)})", rows)
    blobs = ((last + i, vector.astype("<f4", copy=False).tobytes()) for i, (_, vector) in enumerate(pairs, 1))
    db.executemany("INSERT INTO vectors VALUES (?, ?)", blobs)
    if paths := [(last + i, record.path) for i, (record, _) in enumerate(pairs, 1) if record.path]:
        db.execute(
            "CREATE TABLE IF NOT EXISTS paths "
            "(key INTEGER PRIMARY KEY REFERENCES records ON DELETE CASCADE, path TEXT NOT NULL)"
        )
        db.executemany("INSERT INTO paths VALUES (?, ?)", paths)


def has_table(db: sqlite3.Connection, name: str) -> bool:
    """Whether the index has a table; ``paths`` and ``learned`` are made when they are first needed."""
    return bool(db.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0])


def insert_failures(db: sqlite3.Connection, failures: Iterable[Failure]) -> None:
    """Writes failures of new paths."""
    rows = ((failure.path, failure.reason, failure.size, failure.mtime) for failure in failures)
    db.executemany("INSERT INTO failures VALUES (?, ?, ?, ?)", rows)


def learned(db: sqlite3.Connection) -> bytes:
    """What ``set_learned`` wrote."""
    if not has_table(db, "learned"):
        return b""
    return db.execute("SELECT content FROM learned").fetchone()[0]


def set_learned(db: sqlite3.Connection, content: bytes) -> None:
    """Stores what a baked ranking has learned in place of the old; when it is empty, there is no table."""
    db.execute("DROP TABLE IF EXISTS learned")
    if content:
        db.execute("CREATE TABLE learned (content BLOB NOT NULL)")
        db.execute("INSERT INTO learned VALUES (?)", (content,))


def delete(db: sqlite3.Connection, ids: Sequence[str]) -> int:
    """Removes records with their vectors; returns how many there were."""
    return db.execute(f"DELETE FROM records WHERE {ID_IN_LIST}", (ids_json(ids),)).rowcount


def ids_json(ids: Sequence[str]) -> str:
    """The parameter of ``ID_IN_LIST``."""
    if isinstance(ids, str):
        raise BadQuery(f"ids must be a list of strings; it is the string {ids!r}. Write [{ids!r}].")
    return json.dumps(list(ids))

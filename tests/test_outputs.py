"""Files that a person asks for: whole or not at all, and never over what the kit did not write."""

from __future__ import annotations

import functools
import io
import json
import os
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit import Gallery
from imgsearch_kit.cli.base import write_json
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.evaluation.over_index import evaluate
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.plots import figure
from imgsearch_kit.records import ImageRecord

OVERWRITE = {"force": True}


@pytest.fixture(scope="module")
def gallery():
    """Twelve pictures of two classes at random directions, in memory."""
    rows = np.random.default_rng(1).normal(size=(12, 8)).astype(np.float32)
    index = create_index("memory:", new_passport(None, dim=8, roots={"": "/home/anna/pictures"}))
    index.add(
        [ImageRecord(f"{i % 2}/{i:02}.jpg", str(i % 2)) for i in range(12)],
        rows / np.linalg.norm(rows, axis=1, keepdims=True),
    )
    with closing(index):
        yield Gallery(index)


@functools.cache
def document(gallery, name):
    """What `evaluate`, `health` or `tune` writes with -o."""
    return getattr(gallery, name)(progress=False).to_json()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def plot(gallery, path, force):
    """What `recall --plot` does with a figure."""
    from imgsearch_kit.outputs import write_output

    with write_output(path, force=force) as whole:
        figure.new(2, 2, "a figure")[0].savefig(whole)


WRITERS = {
    "r.csv": lambda gallery, path, force: gallery.export(path, **force),
    "r.npz": lambda gallery, path, force: gallery.export(path, **force),
    "r.html": lambda gallery, path, force: gallery.map(path, progress=False, **force),
    "r.run": lambda gallery, path, force: evaluate(gallery.index, trec=path.with_suffix(""), progress=False, **force),
    "r.qrels": lambda gallery, path, force: evaluate(gallery.index, trec=path.with_suffix(""), progress=False, **force),
    "evaluate.json": lambda gallery, path, force: write_json(path, document(gallery, "evaluate"), **force),
    "health.json": lambda gallery, path, force: write_json(path, document(gallery, "health"), **force),
    "tune.json": lambda gallery, path, force: write_json(path, document(gallery, "tune"), **force),
    "r.png": lambda gallery, path, force: plot(gallery, path, **(force or {"force": False})),
    "r.svg": lambda gallery, path, force: plot(gallery, path, **(force or {"force": False})),
    "r.pdf": lambda gallery, path, force: plot(gallery, path, **(force or {"force": False})),
}


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def picture(kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


FOREIGN = {
    "text": b"my notes\n",
    "a space": b" ",
    "JSON": b'{"queries": 3, "classes": 2}',
    "a JSON list": b'[{"micro": 1, "macro": 1, "per_class": 1, "passport": 1}]',
    "half a JSON document": b'{"micro": 1, "macro": 1, "per_class": 1, "passport": ',
    "a table": b"id,label\na,b\n",
    "a page": b"<!doctype html>\n<title>mine, of imgsearch-kit</title>",
    "weights": archive(kernel=np.ones((1, 2))),
    "a run": b"1 Q0 a 1 0.7 bm25\n",
    "judgements": b"1 0 a 1\n",
    "a PNG picture": picture("PNG"),
    "a JPEG picture": picture("JPEG"),
    "a vector graphic": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "a PDF": b"%PDF-1.4\n",
    "a zip file": b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("found", FOREIGN)
def test_what_the_kit_did_not_write_is_kept(gallery, tmp_path, name, found):
    path = tmp_path / name
    path.write_bytes(FOREIGN[found])
    with pytest.raises(KitError, match=r"exists, and imgsearch did not write it\. Name another file, or .* --force"):
        WRITERS[name](gallery, path, {})
    assert path.read_bytes() == FOREIGN[found]
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_what_the_kit_wrote_is_replaced_and_anything_else_by_force(gallery, tmp_path, name):
    path = tmp_path / name
    path.touch()
    WRITERS[name](gallery, path, {})
    WRITERS[name](gallery, path, {})
    path.write_bytes(b"my notes\n")
    WRITERS[name](gallery, path, OVERWRITE)
    assert path.stat().st_size > 20


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["local", "npz"])
def test_an_index_is_never_overwritten(gallery, tmp_path, name, kind):
    path = tmp_path / name
    gallery.copy_to(f"{kind}:{path}", progress=False).close()
    content = path.read_bytes()
    for force in ({}, OVERWRITE):
        with pytest.raises(KitError, match="is an index or another database, which is never overwritten"):
            WRITERS[name](gallery, path, force)
        assert path.read_bytes() == content


def files_with_vectors(gallery, folder):
    """A link to an export, the export itself, and an archive that another program made."""
    np.savez(folder / "made.npz", ids=np.array(["a"]), vectors=np.ones((1, 2), np.float32))
    gallery.export(folder / "export.npz")
    (folder / "link.npz").symlink_to("export.npz")
    return [folder / name for name in ("link.npz", "export.npz", "made.npz")]


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "r.npz"])
def test_vectors_in_an_archive_are_an_index_to_every_output_but_an_export(gallery, tmp_path, name):
    for found in files_with_vectors(gallery, tmp_path):
        content, path = found.read_bytes(), found.rename(tmp_path / name)
        for force in ({}, OVERWRITE):
            with pytest.raises(KitError, match="is an index or another database, which is never overwritten"):
                WRITERS[name](gallery, path, force)
        path.rename(found)
        assert found.read_bytes() == content


def test_an_export_replaces_an_earlier_export_and_neither_the_index_nor_vectors_made_elsewhere(gallery, tmp_path):
    link, export, made = files_with_vectors(gallery, tmp_path)
    content = export.read_bytes(), made.read_bytes()
    gallery.export(link)
    gallery.export(export, **OVERWRITE)
    for force in ({}, OVERWRITE):
        with pytest.raises(BadQuery, match="is an index or another database, which is never overwritten"):
            gallery.export(made, **force)
        for source, target in ((export, link), (link, export), (export, export)):
            with (
                Gallery.open(f"npz:{source}") as opened,
                pytest.raises(BadQuery, match="is the file of this index, which is never overwritten"),
            ):
                opened.export(target, **force)
    assert len(export.read_bytes()) == len(content[0])
    assert made.read_bytes() == content[1]
    assert link.is_symlink()


def test_an_export_into_which_pictures_were_indexed_is_an_index(gallery, tmp_path):
    path = tmp_path / "x.npz"
    gallery.export(path)
    gallery.export(path)
    with Gallery.open(f"npz:{path}") as exported:
        exported.index.delete(["0/00.jpg"])
    with pytest.raises(BadQuery, match="is an index"):
        gallery.export(path)


def test_judgements_beside_a_run_of_the_kit_are_the_kit_s(gallery, tmp_path):
    WRITERS["r.run"](gallery, tmp_path / "r.run", {})
    (tmp_path / "r.run").write_bytes(FOREIGN["a run"])
    with pytest.raises(KitError, match=r"r\.run exists"):
        WRITERS["r.run"](gallery, tmp_path / "r.run", {})
    (tmp_path / "r.run").unlink()
    with pytest.raises(KitError, match=r"r\.qrels exists"):
        WRITERS["r.run"](gallery, tmp_path / "r.run", {})
    assert names(tmp_path) == ["r.qrels"]


def test_a_link_stays_a_link_and_what_it_names_is_looked_at(gallery, tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "r.csv"
    link.symlink_to("there/real")
    gallery.export(link)
    assert link.is_symlink()
    assert (tmp_path / "there/real").read_text().startswith("id,label,")
    (tmp_path / "there/real").write_text("my notes\n")
    with pytest.raises(BadQuery, match="did not write it"):
        gallery.export(link)
    assert (tmp_path / "there/real").read_text() == "my notes\n"


def test_a_folder_is_said_to_be_one(gallery, tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(BadQuery, match=r"x\.csv is a folder, not a file\. Name a file\."):
        gallery.export(tmp_path / "x.csv")


def test_a_pipe_gets_the_whole_document(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write_json(tmp_path / "pipe", {"a": 1})
        assert json.loads(reader.stdout.read()) == {"a": 1}
    assert names(tmp_path) == ["pipe"]


def test_a_device_is_written_and_not_replaced():
    """A terminal and, by its number, a full one: a folder of the kernel's own keeps both from being replaced."""
    reader, terminal = os.openpty()
    write_json(Path(os.ttyname(terminal)), {"a": 1})
    assert json.loads(os.read(reader, 100)) == {"a": 1}
    os.close(reader)
    os.close(terminal)
    with open("/dev/full", "wb") as full, pytest.raises(BadQuery, match="cannot be written: No space left on device"):  # noqa: PTH123
        write_json(Path(f"/proc/self/fd/{full.fileno()}"), {"a": 1})


def test_standard_output_by_its_name_goes_on_where_it_is(tmp_path):
    """Also where it is a file, in which the document must not begin anew."""
    words = "import pathlib, imgsearch_kit.cli.base as base; print('before', flush=True)\n"
    words += "base.write_json(pathlib.Path('/proc/self/fd/1'), {'a': 1}); print('after')"
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", words], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == 'before\n{\n  "a": 1\n}\nafter\n'


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    from imgsearch_kit.outputs import write_output

    path = tmp_path / "r.json"

    def meanwhile():
        with write_output(path) as whole:
            whole.write_text("{}")
            path.write_text("my notes\n")

    with pytest.raises(BadQuery, match="did not write it"):
        meanwhile()
    assert path.read_text() == "my notes\n"


def test_an_export_names_no_folder(gallery, tmp_path):
    gallery.export(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz") as arrays:
        assert not [name for name in arrays.namelist() if b"a\0\0\0n\0\0\0n\0\0\0a" in arrays.read(name)]
    with Gallery.open(f"npz:{tmp_path / 'x.npz'}") as exported:
        assert (len(exported), exported.passport.roots) == (12, {})


PLACES = {"x.db": "local", "x.npz": "npz"}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("found", ["text", "a PNG picture", "a zip file", "a pipe", "a folder"])
def test_a_copy_never_replaces_what_is_no_index(gallery, tmp_path, name, found):
    path = tmp_path / name
    if found in FOREIGN:
        path.write_bytes(FOREIGN[found])
    else:
        os.mkfifo(path) if found == "a pipe" else path.mkdir()
    before = path.stat()
    with pytest.raises(KitError, match=name):
        gallery.copy_to(f"{PLACES[name]}:{path}", progress=False)
    assert os.path.samestat(path.stat(), before)
    assert path.stat().st_size == before.st_size
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", PLACES)
def test_a_copy_to_a_link_keeps_the_link(gallery, tmp_path, name):
    (tmp_path / name).symlink_to(f"real-{name}")
    gallery.copy_to(f"{PLACES[name]}:{tmp_path / name}", progress=False).close()
    assert (tmp_path / name).is_symlink()
    with Gallery.open(f"{PLACES[name]}:{tmp_path / f'real-{name}'}") as copy:
        assert len(copy) == 12


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("ending", [".part", ".lock"])
def test_a_file_that_has_a_name_the_kit_needs_is_kept(gallery, tmp_path, name, ending):
    path = tmp_path / (name + ending)
    path.write_text("my notes\n")
    with pytest.raises(KitError, match="is in the way: imgsearch did not write it"):
        gallery.copy_to(f"{PLACES[name]}:{tmp_path / name}", progress=False)
    assert path.read_text() == "my notes\n"

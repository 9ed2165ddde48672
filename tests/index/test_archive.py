"""Archives as other programs read and write them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch, IndexUnwritable, VersionMismatch
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.archive import write_archive
from imgsearch_kit.records import ExtractorSpec, Failure, ImageRecord
from tests.index.writing import DIM, filled, pictures

IDS = np.array(["b.jpg", "a.jpg"])
ROWS = np.array([[0, 1, 0], [1, 0, 0]], np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pictures.npz"


def opened(path):
    return open_index(f"npz:{path}")


# -- written here, read elsewhere --------------------------------------------------------------------------------


def test_numpy_alone_reads_it_without_pickle(path):
    filled(f"npz:{path}", 20)
    code = f"""if True:
        import numpy as np
        with np.load({str(path)!r}, allow_pickle=False) as archive:
            print({{name: (archive[name].dtype.kind, archive[name].shape) for name in archive.files}})
            print(archive["ids"][3], archive["labels"][3], archive["sha256"][3][-4:], archive["vectors"].dtype)
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = {"ids": "U", "vectors": "f", "labels": "U", "sha256": "U", "widths": "i", "heights": "i", "mtimes": "f"}
    kinds |= {"sizes": "i", "inodes": "i", "ctimes": "f"}
    shapes = {"vectors": (20, DIM), "passport": (), "failures": ()}
    assert json.loads(out[0].replace("'", '"').replace("(", "[").replace(",)", "]").replace(")", "]")) == {
        name: [kinds.get(name, "U"), list(shapes.get(name, (20,)))] for name in [*kinds, "passport", "failures"]
    }
    assert out[1] == "00003.jpg label 3 0003 float32"


def test_write_archive_keeps_everything(path):
    records = [ImageRecord("a", None), ImageRecord("b", "cat", "12" * 32, 640, 480, 1234567890.125, 10**10)]
    spec = ExtractorSpec("quarters", 3, "block5", weights_digest="ab" * 32)
    passport = new_passport(spec, probes=ROWS, roots={"": "/pictures"})
    failures = [Failure("bad.jpg", "It is cut off.", 12, 3.5)]
    write_archive(path, records, ROWS, passport, failures)
    with opened(path) as index:
        assert index.records() == records
        assert np.array_equal(index.vectors(), ROWS)
        assert index.failures() == failures
        assert (index.passport.uuid, index.passport.spec, index.passport.root) == (passport.uuid, spec, "/pictures")
        assert index.passport.created == passport.created
        assert index.passport.libraries == passport.libraries
        assert np.array_equal(index.passport.probes, ROWS)


def test_flush_writes_whole_files_and_only_after_a_change(path):
    with create_index(f"npz:{path}", new_passport(None, dim=DIM)) as index:
        index.add(*pictures(0, 5))
        with opened(path) as other:
            assert len(other) == 0  # not flushed yet
        index.flush()
        first = path.stat()
        index.flush()
        index.set_failures([])
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
        index.add(*pictures(5, 10))
    with opened(path) as index:
        assert len(index) == 10
        assert path.stat().st_ino != first.st_ino  # replaced, not written over


def test_an_index_of_another_method_is_exact_once_it_is_an_archive(path):
    write_archive(path, [ImageRecord("a")], ROWS[:1], new_passport(None, dim=3, method="l2-lsh:L=60"), [])
    with opened(path) as index:
        assert index.passport.method == "exact"


def test_changes_of_two_processes_are_not_mixed(path):
    filled(f"npz:{path}", 5)
    with opened(path) as early:
        with opened(path) as late:
            late.add(*pictures(5, 10))
        with pytest.raises(IndexUnwritable, match=r"was changed by another process after it was opened. Open it again"):
            early.add(*pictures(10, 15))
    with opened(path) as index:
        assert [r.id for r in index.records()] == [r.id for r in pictures(0, 10)[0]]


# -- made elsewhere, read here -----------------------------------------------------------------------------------


def test_ids_and_vectors_are_enough(path):
    np.savez(path, ids=IDS, vectors=ROWS)
    with opened(path) as index:
        assert index.records() == [ImageRecord("a.jpg"), ImageRecord("b.jpg")]
        assert np.array_equal(index.vectors(), ROWS[::-1])
        assert (index.passport.spec, index.passport.dim, index.passport.count) == (None, 3, 2)
        assert index.search(ROWS[:1], 1).ids.tolist() == [["b.jpg"]]


def test_labels_sha256_and_arrays_of_other_names(path):
    np.savez_compressed(path, ids=IDS, vectors=ROWS, labels=np.array(["cat", ""]), sha256=["12" * 32, ""], model="clip")
    with opened(path) as index:
        assert index.records() == [ImageRecord("a.jpg"), ImageRecord("b.jpg", "cat", "12" * 32)]


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        (np.array([1, 0]), ["0", "1"]),
        (np.array([200, 0], np.uint8), ["0", "200"]),
        (np.array([True, False]), ["False", "True"]),
        (np.array([b"cat", "für".encode()]), ["für", "cat"]),
        (np.array(["cat", ""]), [None, "cat"]),
        (np.array([b"cat", b""]), [None, "cat"]),
    ],
)
def test_classes_by_number_are_labels_and_the_first_is_not_lost(path, labels, read):
    np.savez(path, ids=IDS, vectors=ROWS, labels=labels, sizes=[2.0, 3.0])
    with opened(path) as index:
        assert [record.label for record in index.records()] == read
        assert [record.size for record in index.records()] == [3, 2]


def test_the_uuid_is_of_the_content(path):
    seen = []
    for vectors in (ROWS, ROWS, ROWS[::-1]):
        np.savez(path, ids=IDS, vectors=vectors)
        with opened(path) as index:
            seen.append(index.passport.uuid)
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floats_of_any_length_become_unit_rows(path, dtype):
    np.savez(path, ids=IDS, vectors=np.asfortranarray([[3, 0, 4], [0, 1e-3, 0]], dtype=dtype))
    with opened(path) as index:
        np.testing.assert_allclose(index.vectors(["b.jpg"]), [[0.6, 0, 0.8]], atol=1e-7)
        assert index.vectors(["a.jpg"]).tolist() == [[0, 1, 0]]


def test_rows_of_unit_norm_keep_every_bit(path):
    vectors = pictures(0, 50)[1]
    np.savez(path, ids=[f"{i:02}" for i in range(50)], vectors=vectors)
    with opened(path) as index:
        assert np.array_equal(index.vectors(), vectors)


@pytest.mark.parametrize("order", ["C", "F"])
def test_more_rows_than_are_read_at_once_arrive_whole(path, order):
    vectors = np.random.default_rng(0).normal(size=(9000, 3))
    ids = np.array([f"{i:04}" for i in range(9000)])[::-1]
    np.savez(path, ids=ids, vectors=np.asarray(vectors, order=order), labels=np.arange(9000))
    with opened(path) as index:
        assert [record.label for record in index.records(["0000", "8999"])] == ["8999", "0"]
        expected = vectors[::-1] / np.linalg.norm(vectors[::-1], axis=1, keepdims=True)
        np.testing.assert_allclose(index.vectors(), expected, atol=1e-3)  # unit rows keep every bit
    vectors[[4097, 8191]] = 0
    np.savez(path, ids=ids, vectors=vectors)
    with pytest.raises(BadQuery, match=r"2 of 9000 .*zero or not finite; the first is that of '4902'"):
        opened(path)


def test_an_archive_with_fewer_vectors_than_records_is_not_written(path):
    path.write_bytes(b"earlier")
    with pytest.raises(IndexMismatch, match=r"There are 3 records but 2 vectors: the index changed"):
        write_archive(path, [ImageRecord(each) for each in "abc"], [ROWS], new_passport(None, dim=3), [])
    assert path.read_bytes() == b"earlier"


def test_it_can_be_added_to_and_then_has_a_passport(path):
    np.savez(path, ids=IDS, vectors=ROWS)
    with opened(path) as index:
        index.add([ImageRecord("c.jpg")], ROWS[:1])
        uuid = index.passport.uuid
    with opened(path) as index:
        assert len(index) == 3
        assert index.passport.uuid == uuid


ARRAYS = {"ids": IDS, "vectors": ROWS}
BAD = {
    "no vectors": (
        {"ids": IDS, "features": ROWS},
        IndexMismatch,
        r"has the arrays \['ids'\]; .* needs ids and vectors",
    ),
    "numbers for ids": ({"ids": np.arange(2), "vectors": ROWS}, BadQuery, r"ids in .* are int64 of shape \(2,\)"),
    "ids in two columns": ({"ids": IDS[:, None], "vectors": ROWS}, BadQuery, r"of shape \(2, 1\)"),
    "whole numbers": (
        {"ids": IDS, "vectors": ROWS.astype(int)},
        BadQuery,
        r"vectors in .* are int64 of shape \(2, 3\)",
    ),
    "one vector flat": ({"ids": IDS, "vectors": ROWS[0]}, BadQuery, r"vectors in .* of shape \(3,\)"),
    "too few vectors": ({"ids": IDS, "vectors": ROWS[:1]}, BadQuery, "vectors in .* has 1 rows, ids has 2"),
    "too many labels": (
        {"ids": IDS, "vectors": ROWS, "labels": np.array(["a"] * 3)},
        BadQuery,
        "labels in .* has 3 rows, ids has 2",
    ),
    "labels as floats": (
        ARRAYS | {"labels": np.zeros(2)},
        BadQuery,
        r"labels in .* are float64 of shape \(2,\); .*str",
    ),
    "one-hot labels": (
        ARRAYS | {"labels": np.eye(2, dtype=int)},
        BadQuery,
        r"labels in .* of shape \(2, 2\); .*one row",
    ),
    "one label": (ARRAYS | {"labels": np.array("cat")}, BadQuery, r"labels in .* of shape \(\); .*one row"),
    "labels in Latin-1": (ARRAYS | {"labels": np.array([b"a", b"\xe9"])}, BadQuery, "labels in .* are not UTF-8"),
    "numbers for sha256": (ARRAYS | {"sha256": np.arange(2)}, BadQuery, r"sha256 in .* are int64 .*strings"),
    "a time that is none": (ARRAYS | {"mtimes": np.array([1, np.nan])}, BadQuery, "mtimes in .* finite numbers"),
    "a size that is none": (ARRAYS | {"sizes": np.array([1, np.nan])}, BadQuery, "sizes in .* finite numbers"),
    "half a pixel": (ARRAYS | {"widths": np.array([1, 0.5])}, BadQuery, "widths in .* whole numbers"),
    "a width as text": (ARRAYS | {"widths": np.array(["1", "2"])}, BadQuery, "widths in .* finite numbers"),
    "a passport of another program": (
        ARRAYS | {"passport": np.array('{"name": "x"}')},
        IndexMismatch,
        "another program",
    ),
    "a list for a passport": (ARRAYS | {"passport": np.array("[1]")}, IndexMismatch, "of another program"),
    "half a passport": (ARRAYS | {"passport": np.array('{"format": 1, "dim": 3}')}, IndexDamaged, "cannot be read"),
    "an id twice": ({"ids": IDS[[0, 0]], "vectors": ROWS}, BadQuery, "'b.jpg' is given 2 times"),
    "an empty id": ({"ids": np.array(["a", ""]), "vectors": ROWS}, BadQuery, "Record 1 of 2 has an empty id"),
    "a zero row": ({"ids": IDS, "vectors": ROWS * [[1], [0]]}, BadQuery, "1 of 2 .*zero or not finite.*'a.jpg'"),
    "not a number": ({"ids": IDS, "vectors": ROWS + np.nan}, BadQuery, "2 of 2 .*zero or not finite.*'b.jpg'"),
    "too large": ({"ids": IDS, "vectors": ROWS.astype(float) * 1e300}, BadQuery, "2 of 2 .*zero or not finite"),
    "vectors of no numbers": ({"ids": IDS, "vectors": ROWS[:, :0]}, BadQuery, r"of shape \(2, 0\)"),
    "a failure without a reason": (ARRAYS | {"failures": np.array('[["a"]]')}, IndexDamaged, "cannot be read as an"),
    "a failure of nothing": (ARRAYS | {"failures": np.array('[["a", null, 1, 2]]')}, IndexDamaged, "cannot hold: NOT"),
    "half a letter": (ARRAYS | {"labels": np.array(["cat", "\ud800"])}, IndexDamaged, r"cannot hold: .* in '.ud800'"),
    "objects": ({"ids": IDS.astype(object), "vectors": ROWS}, IndexDamaged, r"dtype=str\)"),
}


@pytest.mark.parametrize(("arrays", "kind", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_archive_is_refused_with_its_values(path, arrays, kind, words):
    np.savez(path, **arrays)
    before = path.read_bytes()
    with pytest.raises(kind, match=words):
        opened(path)
    assert path.read_bytes() == before


def test_other_files_are_refused(path):
    filled(f"npz:{path}", 20)
    whole = path.read_bytes()
    np.save(path.with_suffix(".npy"), ROWS)
    garbled = bytearray(whole)
    garbled[len(whole) // 2] ^= 0xFF
    for content in (b"", b"path,label\n", whole[:-100], path.with_suffix(".npy").read_bytes(), bytes(garbled)):
        path.write_bytes(content)
        with pytest.raises(IndexDamaged, match=r"cannot be read as an .npz archive of plain arrays"):
            opened(path)


HEADERS = {"of another version": (6, 200), "encrypted": (8, 1), "patched": (8, 32), "of another compression": (10, 99)}


@pytest.mark.parametrize("name", [b"ids.npy", b"vectors.npy"])
@pytest.mark.parametrize(("place", "value"), HEADERS.values(), ids=HEADERS)
def test_an_archive_with_a_damaged_list_of_members_is_refused(path, name, place, value):
    np.savez(path, ids=IDS, vectors=ROWS)
    content = bytearray(path.read_bytes())
    content[content.rindex(name) - 46 + place] = value  # 46 bytes about a member are before its name
    path.write_bytes(content)
    with pytest.raises(IndexDamaged, match=r"cannot be read as an .npz archive of plain arrays"):
        opened(path)


def test_members_that_are_no_arrays_are_not_taken_for_them(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U9", "fortran_order": False, "shape": (10**13,)})
    contents = {"vectors": (b"x", IndexMismatch, "needs ids and vectors"), "ids.npy": (b"x", IndexDamaged, "no array")}
    contents |= {"labels.npy": (header.getvalue(), IndexDamaged, "Unable to allocate")}
    for name, (content, kind, words) in contents.items():
        np.savez(path, **{each: array for each, array in ARRAYS.items() if each != name.removesuffix(".npy")})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, content)
        with pytest.raises(kind, match=words):
            opened(path)


def test_an_archive_for_which_there_is_no_room_says_where(path, file_limit, monkeypatch):
    monkeypatch.setattr("imgsearch_kit.index.archive.IN_MEMORY", 1 << 18)
    filled(f"npz:{path}", 9000)
    before = path.read_bytes()
    file_limit(1 << 17)
    with pytest.raises(IndexUnwritable, match=r"too large for the folder of temporary files.* or set SQLITE_TMPDIR"):
        opened(path)
    assert path.read_bytes() == before


def test_an_archive_of_a_newer_kit_or_of_two_minds_is_refused(path):
    passport = new_passport(None, dim=3).to_json()
    np.savez(path, ids=IDS, vectors=ROWS, passport=np.array(json.dumps({**passport, "format": 99})))
    with pytest.raises(VersionMismatch, match=r"has format 99; this kit reads formats 1 to 2"):
        opened(path)
    np.savez(path, ids=IDS, vectors=ROWS, passport=np.array(json.dumps({**passport, "dim": 4})))
    with pytest.raises(IndexMismatch, match=r"says 4 dimensions, the vectors have 3"):
        opened(path)
    np.savez(path, ids=IDS, vectors=ROWS, passport=np.array("{"))
    with pytest.raises(IndexDamaged, match=r"passport"):
        opened(path)


VALUES = {
    "generation": [None, {}, 2**63, True],
    "uuid": [3],
    "created": [[]],
    "roots": [{"": 3}, [1]],
    "libraries": ["x"],
}
VALUES |= {"label_levels": [{"": 1}, {"": []}, {"": [0]}, {"": ["x"]}, [1]]}
VALUES |= {"method": [None], "spec": [{"name": 1, "dim": 3}, [1], [], "x"], "baked": [{"x": 1}, 1]}
VALUES |= {"format": [0, -1], "rank": [3, None, []]}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALUES.items() for value in values])
def test_a_passport_with_a_value_of_another_type_is_refused(path, name, value):
    write_archive(path, [ImageRecord("a")], ROWS[:1], new_passport(None, dim=3), [])
    with np.load(path) as whole:
        arrays = dict(whole)
    plain = json.loads(str(arrays["passport"])) | {name: value}
    np.savez(path, **arrays | {"passport": np.array(json.dumps(plain))})
    with pytest.raises(IndexDamaged, match=r"passport .* cannot be read"):
        open_index(f"npz:{path}")

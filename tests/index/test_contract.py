"""What every backend promises, word for word: one suite over all of them."""

from __future__ import annotations

import dataclasses
import math
import threading

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexNotFound
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.names import normal
from imgsearch_kit.records import Approx, BakedRank, ExtractorSpec, Failure, ImageRecord

SPEC = ExtractorSpec("quarters", 12, "block5", "rmac", 224, "bicubic", "v1", "ab" * 32, "numpy")
X, Y, Z = np.eye(3, dtype=np.float32)


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_units(n, dim, seed=0):
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def at(*degrees):
    """Unit vectors in the X-Y plane; the cosine of two is the cosine of the angle between them."""
    return unit([[math.cos(math.radians(d)), math.sin(math.radians(d)), 0] for d in degrees])


def named(*ids, label=None):
    return [ImageRecord(id_, label) for id_ in ids]


@pytest.fixture
def fan(place):
    """Six pictures, 10 degrees apart, labelled even and odd by their place; "f" has no label."""
    index = place.create()
    labels = ["even", "odd", "even", "odd", "even", None]
    index.add([ImageRecord(*pair) for pair in zip("abcdef", labels, strict=True)], at(0, 10, 20, 30, 40, 50))
    index.flush()
    return index


def rows(found):
    return [[id_ for id_ in row if id_] for row in found.ids.tolist()]


# -- a new index, and what stays ---------------------------------------------------------------------------------


def test_a_new_index_is_empty_and_answers_nothing(place):
    index = place.create()
    assert len(index) == index.passport.count == 0
    assert index.records() == []
    assert index.vectors().shape == (0, 3)
    assert index.failures() == []
    found = index.search(at(0, 90), 4)
    assert found.ids.tolist() == [[""] * 4] * 2
    assert found.scores.shape == (2, 4)
    assert np.isnan(found.scores).all()


def test_the_passport_is_kept_to_the_last_bit(place):
    probes = random_units(2, 12)
    made = new_passport(SPEC, probes=probes, roots={"": "/pictures", "may": "/other"}, method=place.backend.method)
    index = place.opened.enter_context(create_index(place.address, made))
    index = place.reopen(index)
    assert index.passport == made
    assert np.array_equal(index.passport.probes, probes)
    assert index.passport.probes.dtype == np.float32


def test_everything_added_is_there_after_closing(place):
    index = place.create(dim=5)
    records = [
        ImageRecord(f"{i:02}.jpg", "cat" if i % 2 else None, f"{i:064x}", i, 2 * i, i + 0.25, 10**12 + i)
        for i in range(20)
    ]
    vectors = random_units(20, 5)
    assert index.add(records[::-1], vectors[::-1]) == []
    index.set_failures([Failure("bad.jpg", "It is cut off.", 7, 1.5)])
    generation = index.passport.generation
    index = place.reopen(index)
    assert index.records() == records
    assert np.array_equal(index.vectors(), vectors)
    assert index.failures() == [Failure("bad.jpg", "It is cut off.", 7, 1.5)]
    assert (index.passport.count, index.passport.generation) == (20, generation)


def test_an_address_holds_one_index(place):
    if not place.backend.stays:
        pytest.skip("every index in memory is a new one")
    index = place.create()
    index.add(named("a"), at(0))
    index.close()
    with pytest.raises(IndexMismatch, match="already"):
        place.create()
    assert len(place.reopen(index)) == 1


def test_opening_nothing_says_how_to_make_it(place):
    with pytest.raises(IndexNotFound, match=r"imgsearch index FOLDER --index"):
        open_index(place.address)
    with pytest.raises(IndexNotFound):  # the first try made nothing
        open_index(place.address)


def test_close_twice_then_ask_is_a_sentence(place):
    with place.create() as index:
        index.add(named("a"), at(0))
    index.close()
    with pytest.raises(BadQuery, match="is closed"):
        index.search(at(0), 1)
    with pytest.raises(BadQuery, match="is closed"):
        len(index)
    with pytest.raises(BadQuery, match="is closed"):
        index.add(named("b"), at(0))


# -- the passport as read, and the index as a whole ---------------------------------------------------------------


def test_the_passport_follows_the_object_s_own_writes(fan):
    for change in (
        lambda: fan.add(named("g", "h"), at(60, 70)),
        lambda: fan.add(named("a", "i"), at(80, 90), replaces=["b"]),
        lambda: fan.delete(["g", "never there"]),
        lambda: fan.set_failures([Failure("x", "why")]),
        lambda: fan.set_learned(b"learned"),
        lambda: fan.amend(roots={"": "/pictures"}, uuid="another"),
    ):
        change()
        assert fan.passport == fan.read_passport()
        assert fan.passport.count == len(fan) == len(fan.records())


def test_what_others_write_is_in_the_passport_once_it_is_read(place):
    if place.backend.name in ("memory", "memory-hnsw", "npz"):
        pytest.skip("nobody else can write to it")
    index = place.create()
    index.add(named("a"), at(0))
    index.flush()
    other = place.opened.enter_context(open_index(place.address))
    before = other.passport
    assert before == index.passport
    index.add(named("b"), at(10))
    index.amend(roots={"": "/pictures"})
    assert other.passport == before
    now = other.read_passport()
    assert (now.count, now.roots) == (2, {"": "/pictures"})
    assert now.generation > before.generation
    assert now == other.passport == index.passport
    assert len(other.records()) == 2


def test_the_declared_extractor_stands_in_the_passport(place):
    index = place.create(dim=12)
    index.declared = SPEC
    assert index.passport.spec == index.read_passport().spec == SPEC
    index.add(named("a"), random_units(1, 12))
    assert index.passport.spec == SPEC
    assert place.reopen(index).passport.spec is None


def test_records_are_counted_by_label(fan):
    assert list(fan.label_counts().items()) == [("even", 3), ("odd", 2)]
    fan.add([ImageRecord("g", "éven"), ImageRecord("h", "Odd")], at(60, 70))
    fan.delete(["b", "d"])
    assert list(fan.label_counts().items()) == [("Odd", 1), ("even", 3), ("éven", 1)]


def test_an_empty_index_has_no_labels(place):
    assert place.create().label_counts() == {}


def test_merging_keeps_every_record(fan):
    fan.add(named("g"), at(60))
    fan.merge()
    assert fan.segments() in (None, 1)
    assert [r.id for r in fan.records()] == list("abcdefg")
    assert rows(fan.search(at(60), 1)) == [["g"]]


def test_a_removed_index_is_gone(place):
    index = place.create()
    index.check_writable()
    index.add(named("a"), at(0))
    index.remove()
    with pytest.raises(BadQuery, match="is closed"):
        index.search(at(0), 1)
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(place.address)
    if place.backend.stays:
        assert len(place.create()) == 0


# -- writing -----------------------------------------------------------------------------------------------------


def test_adding_again_replaces(fan):
    assert fan.add([ImageRecord("a", "new", "12" * 32)], at(90)) == []
    fan.flush()
    assert len(fan) == 6
    assert fan.records(["a"]) == [ImageRecord("a", "new", "12" * 32)]
    assert np.array_equal(fan.vectors(["a"]), at(90))
    assert rows(fan.search(at(90), 1)) == [["a"]]


def test_replaced_ids_go_in_the_same_commit(fan):
    before = fan.passport.generation
    fan.add(named("moved/a"), fan.vectors(["a"]), replaces=["a", "never there"])
    fan.flush()
    assert [r.id for r in fan.records()] == ["b", "c", "d", "e", "f", "moved/a"]
    assert rows(fan.search(at(0), 2)) == [["moved/a", "b"]]
    assert fan.passport.generation > before


def test_an_id_that_is_both_written_and_replaced_stays(fan):
    fan.add([ImageRecord("b", "kept"), ImageRecord("x")], at(60, 70), replaces=["b", "c"])
    assert [r.id for r in fan.records()] == ["a", "b", "d", "e", "f", "x"]
    assert fan.records(["b"])[0].label == "kept"


def test_arguments_are_neither_modified_nor_kept(place):
    index = place.create()
    records, vectors = named("b", "a"), at(0, 90)
    vectors.flags.writeable = False
    index.add(records, vectors)
    assert records == named("b", "a")
    vectors = at(10, 20)
    index.add(named("c", "d"), vectors)
    vectors[:] = 0
    queries = at(0)
    queries.flags.writeable = False
    index.flush()
    index.search(queries, 2, labels=["x"], exclude=[["a"]])
    assert np.array_equal(index.vectors(), at(90, 0, 10, 20))
    index.vectors()[:] = 0  # what was handed out is the caller's own
    assert np.array_equal(index.vectors(["c"]), at(10))


def test_vectors_need_not_lie_in_one_piece(place):
    index = place.create()
    wide = np.zeros((4, 6), np.float32)
    wide[::2, ::2] = at(0, 90)
    index.add(named("a", "b"), wide[::2, ::2])
    index.add(named("c"), np.asfortranarray(at(45)))
    index.flush()
    assert np.array_equal(index.vectors(), at(0, 90, 45))
    assert rows(index.search(np.asfortranarray(at(0, 90)), 1)) == [["a"], ["b"]]


NAN = at(0, 10)
NAN[1, 0] = np.nan
INF = at(0, 10)
INF[0, 2] = np.inf
BAD_ADDS = {
    "too few vectors": (named("a", "b"), at(0), "2 records but 1 vectors"),
    "too many vectors": (named("a"), at(0, 10), "1 records but 2 vectors"),
    "float64": (named("a"), at(0).astype(np.float64), "float64"),
    "a list": (named("a"), [[1.0, 0.0, 0.0]], "list"),
    "another dimension": (named("a"), random_units(1, 4), r"\(n, 3\).*\(1, 4\)"),
    "one row without its axis": (named("a"), X, r"\(3,\)"),
    "not a number": (named("a", "b"), NAN, "'b', with norm nan"),
    "infinite": (named("a", "b"), INF, "'a', with norm inf"),
    "zero": (named("a"), np.zeros((1, 3), np.float32), "'a', with norm 0"),
    "not of unit norm": (named("a", "b"), at(0, 1) * np.float32(1.01), "2 of 2 .*'a', with norm 1.01"),
    "an empty id": (named("a", ""), at(0, 10), "Record 1 of 2 has an empty id"),
    "an id twice": (named("a", "b", "a"), at(0, 1, 2), "'a' is given 2 times"),
}


@pytest.mark.parametrize(("records", "vectors", "words"), BAD_ADDS.values(), ids=BAD_ADDS.keys())
def test_a_bad_add_is_refused_whole(place, records, vectors, words):
    index = place.create()
    index.add(named("z"), at(0))
    before = index.passport
    with pytest.raises(BadQuery, match=words):
        index.add(records, vectors, replaces=["z"])
    assert index.records() == named("z")
    assert index.passport == before


def test_delete_counts_what_was_there(fan):
    before = fan.passport.generation
    assert fan.delete(["c", "a", "never there", "c"]) == 2
    fan.flush()
    assert [r.id for r in fan.records()] == ["b", "d", "e", "f"]
    assert np.array_equal(fan.vectors(), at(10, 30, 40, 50))
    assert rows(fan.search(at(0), 6)) == [["b", "d", "e", "f"]]
    assert fan.passport.generation > before


def test_the_generation_stands_still_when_nothing_changes(fan):
    fan.set_failures([Failure("x", "why")])
    fan.amend(roots={"": "/pictures"})
    before = fan.passport
    assert fan.delete(["never there"]) == 0
    assert fan.delete([]) == 0
    assert fan.add([], np.zeros((0, 3), np.float32)) == []
    fan.set_failures([Failure("x", "why")])
    fan.amend(roots={"": "/pictures"})
    fan.flush()
    assert fan.passport == before


def test_the_generation_grows_with_every_change(fan):
    seen = [fan.passport.generation]
    for change in (
        lambda: fan.add(named("g"), at(60)),
        lambda: fan.delete(["g"]),
        lambda: fan.set_failures([Failure("x", "why")]),
        lambda: fan.amend(roots={"": "/pictures"}),
        lambda: fan.amend(uuid="another"),
    ):
        change()
        seen.append(fan.passport.generation)
    assert seen == sorted(set(seen))


def test_amend_keeps_the_other_fields(place):
    index = place.create(dim=12, spec=SPEC, roots={"": "/pictures"}, probes=random_units(2, 12))
    before = index.passport
    index.amend(roots={"": "/moved", "may": "/may"})
    index.amend(uuid="another")
    index = place.reopen(index)
    changed = dataclasses.replace(before, roots={"": "/moved", "may": "/may"}, uuid="another")
    assert dataclasses.replace(index.passport, generation=before.generation) == changed
    assert np.array_equal(index.passport.probes, before.probes)


def test_failures_are_replaced_and_come_in_path_order(place):
    index = place.create()
    index.set_failures([Failure("b", "cut off", 5, 1.5), Failure("a", "no picture")])
    assert index.failures() == [Failure("a", "no picture"), Failure("b", "cut off", 5, 1.5)]
    index.set_failures([Failure("b", "still cut off")])
    assert index.failures() == [Failure("b", "still cut off")]
    index.set_failures([])
    assert index.failures() == []


def test_failures_of_other_paths_stay_where_only_some_are_replaced(place):
    index = place.create()
    index.set_failures([Failure("a/1", "empty"), Failure("b/1", "empty")])
    index.set_failures([Failure("a/2", "cut off")], among=lambda path: path.startswith("a/"))
    assert index.failures() == [Failure("a/2", "cut off"), Failure("b/1", "empty")]
    index.set_failures([], among=lambda path: path.startswith("b/"))
    assert index.failures() == [Failure("a/2", "cut off")]


def test_what_a_ranking_has_learned_stays_with_the_index_and_is_no_record(place, monkeypatch):
    monkeypatch.setattr("imgsearch_kit.index.elastic.bodies.PART", 100)  # on a server a document each
    learned = bytes(range(256)) * 2
    index = place.create(4, baked=BakedRank("pca:4", "u-1", 7, 600, 12))
    assert index.learned() == b""
    index.add(named("a", "b"), np.eye(4, dtype=np.float32)[:2])
    index.set_learned(b"earlier")
    index.set_learned(learned)
    index.flush()
    assert index.learned() == learned
    assert (len(index), index.passport.count, rows(index.search(index.vectors(), 3))) == (
        2,
        2,
        [["a", "b"], ["b", "a"]],
    )
    if place.backend.stays:
        index = place.reopen(index)
        assert index.learned() == learned
        assert index.passport.baked == BakedRank("pca:4", "u-1", 7, 600, 12)


NAMES = [
    " ", "%_", "'; DROP TABLE records; --", "B", "a", "a b.jpg", "a\"b", "a\\b", "a\nb", "b/c/d.jpg", "null", "z",
    "é.jpg", "e\u0301.jpg", "ﬀ.png", "\uffee", "😀", "x" * 500,
]  # fmt: skip


def test_any_text_is_an_id_and_ids_are_in_code_point_order(place):
    index = place.create(dim=8)
    vectors = random_units(len(NAMES), 8)
    index.add([ImageRecord(name, name) for name in NAMES], vectors)
    index.flush()
    assert [r.id for r in index.records()] == sorted(NAMES)
    assert [r.label for r in index.records()] == [normal(name) for name in sorted(NAMES)]
    for name, vector in zip(NAMES, vectors, strict=True):
        assert rows(index.search(vector[None], 1, labels=[normal(name)])) == [[name]]
        assert name not in rows(index.search(vector[None], 50, exclude=[[name]]))[0]
        assert np.array_equal(index.vectors([name]), vector[None])
    assert index.delete(NAMES) == len(NAMES)


# -- reading -----------------------------------------------------------------------------------------------------


def test_records_and_vectors_of_ids_come_in_id_order(fan):
    assert [r.id for r in fan.records(["e", "b", "never there", "b"])] == ["b", "e"]
    assert np.array_equal(fan.vectors(["e", "b", "never there", "b"]), at(10, 40))
    assert fan.records([]) == []
    assert fan.vectors([]).shape == (0, 3)
    everything = fan.vectors()
    assert everything.dtype == np.float32
    assert everything.flags.c_contiguous


def test_entries_are_records_with_their_vectors(fan):
    records, vectors = fan.entries(["e", "b", "never there", "b"])
    assert records == fan.records(["b", "e"])
    assert np.array_equal(vectors, at(10, 40))
    records, vectors = fan.entries()
    assert records == fan.records()
    assert np.array_equal(vectors, fan.vectors())
    records, vectors = fan.entries([])
    assert (records, vectors.shape) == ([], (0, 3))


def test_a_path_that_is_not_the_id_stays(place):
    index = place.create()
    records = [ImageRecord("a", path="cats/1.jpg"), ImageRecord("b"), ImageRecord("c", "dog", path="dogs/1.jpg")]
    index.add(records, at(0, 10, 20))
    index.add([ImageRecord("c", "dog", path="dogs/2.jpg")], at(30))
    index.delete(["a"])
    if place.backend.stays:
        index = place.reopen(index)
    assert index.records() == [ImageRecord("b"), ImageRecord("c", "dog", path="dogs/2.jpg")]


def test_a_string_is_not_a_list_of_ids(fan):
    for call in (fan.records, fan.vectors, fan.delete):
        with pytest.raises(BadQuery, match=r"the string 'abc'"):
            call("abc")
    assert len(fan) == 6


def test_ids_by_the_thousand(place):
    index = place.create(dim=4)
    ids = [f"{i:05}" for i in range(2100)]  # more than two pages, and half of them more than one
    index.add(named(*ids), random_units(2100, 4))
    index.flush()
    assert [r.id for r in index.records(ids[::-2])] == ids[1::2]
    assert index.vectors(ids[1:]).shape == (2099, 4)
    assert rows(index.search(random_units(1, 4), 3, exclude=[ids[1:]])) == [["00000"]]
    index.add(named("one"), random_units(1, 4), replaces=ids[:1050])
    assert index.delete(ids[1050:]) == 1050
    assert index.records() == named("one")


# -- search ------------------------------------------------------------------------------------------------------


def test_scores_are_cosines_in_descending_order(fan):
    found = fan.search(at(0, 26), 6)
    assert rows(found) == [list("abcdef"), list("dcebfa")]
    expected = [[0, 10, 20, 30, 40, 50], [4, 6, 14, 16, 24, 26]]
    np.testing.assert_allclose(found.scores, np.cos(np.radians(expected)), atol=1e-6)
    assert found.scores.dtype == np.float32
    assert (found.method, found.note) == ("exact", "")


def test_opposite_is_minus_one_and_nothing_leaves_the_range(place):
    index = place.create()
    long = at(0, 90) * np.float32(1.0009)  # within the tolerance for unit norm
    index.add(named("same", "right angle"), long)
    index.flush()
    found = index.search(np.concatenate([long[:1], -long[:1]]), 2)
    assert rows(found) == [["same", "right angle"], ["right angle", "same"]]
    np.testing.assert_allclose(found.scores, [[1, 0], [0, -1]], atol=1e-6)
    assert np.abs(found.scores).max() <= 1


def test_short_rows_end_in_nothing(fan):
    found = fan.search(at(0, 0), 4, labels=["odd"], exclude=[["b"], []])
    assert found.ids.tolist() == [["d", "", "", ""], ["b", "d", "", ""]]
    assert np.isnan(found.scores).tolist() == [[False, True, True, True], [False, False, True, True]]
    assert fan.search(at(0), 100).ids.shape == (1, 100)


def test_a_label_filter_gives_full_k(fan):
    assert rows(fan.search(at(50), 2, labels=["even"])) == [["e", "c"]]
    assert rows(fan.search(at(50), 5, labels=["even", "odd"])) == [["e", "d", "c", "b", "a"]]
    assert rows(fan.search(at(50), 5, labels=["nobody's"])) == [[]]
    assert rows(fan.search(at(50), 5, labels=[])) == [[]]
    assert rows(fan.search(at(50), 5, labels=["None", ""])) == [[]]  # no label is not a name


def test_excluded_ids_are_each_query_s_own_and_give_full_k(fan):
    found = fan.search(at(0, 0, 0), 3, exclude=[["a", "b"], [], ["c", "never there", "c"]])
    assert rows(found) == [["c", "d", "e"], ["a", "b", "c"], ["a", "b", "d"]]


def test_the_records_of_all_hits_come_with_them(place):
    index = place.create()
    records = [
        ImageRecord("a", "cat", "12" * 32, 3, 4, 5.5, 6),
        ImageRecord("b"),
        ImageRecord("c", path="elsewhere/c.jpg"),
    ]
    index.add(records, at(0, 10, 20))
    index.flush()
    assert index.search(at(0), 3).records == {record.id: record for record in records}
    found = index.search(at(0, 20), 1)
    assert found.records == {"a": records[0], "c": records[2]}
    assert index.search(at(0), 3, labels=["cat"]).records == {"a": records[0]}
    if place.backend.method != "exact":
        assert index.search(at(0), 1, approx=Approx()).records == {"a": records[0]}


def test_no_queries_no_answers(fan):
    found = fan.search(np.zeros((0, 3), np.float32), 4)
    assert found.ids.shape == found.scores.shape == (0, 4)


BAD_SEARCHES = {
    "k of 0": (at(0), 0, {}, "k must be .* it is 0"),
    "k below 0": (at(0), -3, {}, "k must be .* it is -3"),
    "k a float": (at(0), 2.0, {}, r"k must be .* it is 2\.0"),
    "k a bool": (at(0), True, {}, "k must be .* it is True"),
    "float64": (at(0).astype(np.float64), 1, {}, "float64"),
    "another dimension": (random_units(2, 4), 1, {}, r"\(n, 3\).*\(2, 4\)"),
    "one row without its axis": (X, 1, {}, r"\(3,\)"),
    "not of unit norm": (at(0) * np.float32(2), 1, {}, "row 0, with norm 2"),
    "not a number": (NAN, 1, {}, "row 1, with norm nan"),
    "exclude too short": (at(0, 1), 1, {"exclude": [["a"]]}, "exclude has 1 lists for 2 queries"),
    "exclude without its axis": (at(0), 1, {"exclude": ["a"]}, "the string 'a'"),
    "labels a string": (at(0), 1, {"labels": "even"}, "labels must be .* the string 'even'"),
    "no candidates": (at(0), 1, {"approx": Approx(candidates=0)}, "candidates must be .* it is 0"),
    "probes below 0": (at(0), 1, {"approx": Approx(probes=-1)}, "probes must be .* it is -1"),
}


@pytest.mark.parametrize(("vectors", "k", "options", "words"), BAD_SEARCHES.values(), ids=BAD_SEARCHES.keys())
def test_a_bad_search_is_refused(fan, vectors, k, options, words):
    with pytest.raises(BadQuery, match=words):
        fan.search(vectors, k, **options)


def test_k_may_be_a_numpy_integer(fan):
    assert rows(fan.search(at(0), np.int64(2))) == [["a", "b"]]


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_equal_vectors_tie_and_ids_decide(place, batch):
    """A matrix product gives equal rows unequal last bits at some sizes; these are such sizes."""
    n, dim = 101, 512
    index = place.create(dim=dim)
    shared = random_units(1, dim)
    ids = [f"{i * 37 % n:03}" for i in range(n)]  # added in no order
    index.add(named(*ids, "far"), np.concatenate([np.repeat(shared, n, axis=0), -shared]))
    index.flush()
    found = index.search(random_units(batch, dim, seed=1), 7)
    for row, scores in zip(rows(found), found.scores, strict=True):
        tied = row if row[0] != "far" else row[1:]
        assert tied == [f"{i:03}" for i in range(len(tied))]
        assert len(set(scores[len(row) - len(tied) :].tolist())) == 1


def test_a_query_has_the_same_answer_alone_and_in_a_batch(place):
    index = place.create(dim=64)
    index.add(named(*(f"{i:04}" for i in range(1003))), random_units(1003, 64))
    index.flush()
    queries = random_units(33, 64, seed=1)
    together = index.search(queries, 20)
    for i in range(len(queries)):
        alone = index.search(queries[i : i + 1], 20)
        assert alone.ids[0].tolist() == together.ids[i].tolist()
        np.testing.assert_allclose(alone.scores[0], together.scores[i], atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_search_equals_brute_force(place, seed):
    """Filters, exclusions and k drawn at random, against float64 cosines sorted by hand."""
    rng = np.random.default_rng(seed)
    n, dim = 400, 16
    vectors = random_units(n, dim, seed)
    vectors[rng.choice(n, 60)] = vectors[0]  # some equal pictures
    labels = rng.choice(["cat", "dog", "owl"], n)
    order = rng.permutation(n)
    ids = np.array([f"{i:03}" for i in order])
    index = place.create(dim=dim)
    index.add([ImageRecord(str(id_), str(label)) for id_, label in zip(ids, labels, strict=True)], vectors)
    index.flush()
    queries = np.concatenate([vectors[:2], random_units(6, dim, seed + 100)])
    wanted = [None, ["owl"], ["cat", "dog"], ["bat"]][seed]
    exclude = [list(rng.choice(ids, size)) for size in (0, 1, 5, 50, 100, 0, 399, 2)]
    k = [1, 10, 399, 50][seed]
    found = index.search(queries, k, labels=wanted, exclude=exclude)
    cosines = np.round(queries.astype(np.float64) @ vectors.T.astype(np.float64), 7)
    for i in range(len(queries)):
        left = [j for j in range(n) if (wanted is None or labels[j] in wanted) and ids[j] not in set(exclude[i])]
        left.sort(key=lambda j: (-cosines[i, j], ids[j]))
        assert rows(found)[i] == [ids[j] for j in left[:k]]
        np.testing.assert_allclose(found.scores[i, : len(left[:k])], cosines[i, left[:k]], atol=1e-6)


def test_threads_share_one_index(place):
    """Six threads search and read while one adds batches of ten: every answer is of some whole number of batches."""
    index = place.create(dim=16)
    vectors = random_units(400, 16)
    records = named(*(f"{i:03}" for i in range(400)))
    index.add(records[:10], vectors[:10])
    index.flush()
    done, errors = threading.Event(), []

    def read():
        try:
            while not done.is_set():
                found = index.search(vectors[:2], 5)
                assert found.ids[0, 0] == "000"
                assert (np.diff(found.scores, axis=1) <= 0).all()
                assert (found.ids != "").all()
                assert len(index.records()) % 10 == 0
                assert len(index.vectors()) % 10 == 0
                assert len(index) % 10 == index.passport.count % 10 == 0
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    try:
        for start in range(10, 400, 10):
            index.add(records[start : start + 10], vectors[start : start + 10])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert errors == []
    index.flush()
    assert index.records() == records
    assert np.array_equal(index.vectors(), vectors)

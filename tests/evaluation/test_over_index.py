"""Evaluation of whole indexes: who asks whom, what is left out, and the document it becomes."""

import json
import math
import sys
from collections import Counter

import ir_measures
import numpy as np
import pytest

from imgsearch_kit import cli
from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.evaluation.over_index import evaluate
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.ranking.pca import PcaStep
from imgsearch_kit.records import ExtractorSpec, ImageRecord

SPEC = ExtractorSpec("angles", 2)


def unit(degrees):
    """Vectors on the unit circle: the cosine of two is that of the angle between them."""
    radians = np.deg2rad(np.asarray(degrees, np.float64))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def index_of(*pictures, spec=SPEC):
    """An index of (id, label, degrees) or (id, label, degrees, sha256)."""
    index = create_index("memory:", new_passport(spec))
    records = [ImageRecord(id_, label, rest[0] if rest else "") for id_, label, _, *rest in pictures]
    assert index.add(records, unit([degrees for _, _, degrees, *_ in pictures])) == []
    index.flush()
    return index


def values(evaluation, measure):
    return dict(zip(evaluation.queries, evaluation.scores.values[measure].tolist(), strict=True))


CATS_AND_DOGS = (("cat/1", "cat", 0), ("cat/2", "cat", 10), ("dog/1", "dog", 15), ("dog/2", "dog", 60))


def test_leave_one_out_asks_each_picture_about_all_others():
    # cat/1 sees cat/2 (10°), dog/1 (15°); cat/2 sees dog/1 (5°), cat/1 (10°); dog/1 sees cat/2, cat/1, dog/2
    found = evaluate(index_of(*CATS_AND_DOGS), ks=(1, 3))
    assert values(found, "P@1") == {"cat/1": 1, "cat/2": 0, "dog/1": 0, "dog/2": 1}
    assert values(found, "mAP") == pytest.approx({"cat/1": 1, "cat/2": 1 / 2, "dog/1": 1 / 3, "dog/2": 1})
    document = found.to_json()
    assert (document["queries"], document["classes"], document["gallery"]) == (4, 2, 4)
    assert document["micro"]["P@1"]["value"] == 0.5
    assert document["macro"]["mAP"]["value"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert document["per_class"]["cat"]["P@1"]["value"] == 0.5
    assert document["per_class"]["cat"]["queries"] == 2
    assert document["per_class"]["cat"]["chance"]["P@1"] == pytest.approx(1 / 3)
    assert document["chance"]["micro"]["P@1"] == pytest.approx(1 / 3)


def test_micro_counts_queries_and_macro_counts_classes():
    # Three cats find each other; two dogs find cats first
    pictures = [("c/1", "cat", 0), ("c/2", "cat", 1), ("c/3", "cat", 2), ("d/1", "dog", -5), ("d/2", "dog", 8)]
    document = evaluate(index_of(*pictures), ks=(1,)).to_json()
    assert document["micro"]["P@1"]["value"] == pytest.approx(3 / 5)
    assert document["macro"]["P@1"]["value"] == pytest.approx((1 + 0) / 2)


def test_unlabelled_pictures_are_neither_queries_nor_answers_and_are_counted():
    found = evaluate(index_of(*CATS_AND_DOGS, ("stray", None, 9)), ks=(1,))
    assert found.to_json()["unlabelled"] == 1
    assert "stray" not in (*found.queries, *found.gallery)
    assert values(found, "P@1")["cat/2"] == 0  # dog/1, not the nearer stray, is its neighbour


def test_a_lone_picture_asks_nothing_but_stays_in_the_gallery():
    found = evaluate(index_of(*CATS_AND_DOGS, ("owl", "owl", 5)), ks=(1,))
    assert (found.to_json()["skipped_lone"], found.to_json()["classes"]) == (1, 2)
    assert "owl" in found.gallery
    assert values(found, "P@1") == {"cat/1": 0, "cat/2": 0, "dog/1": 0, "dog/2": 1}  # the owl is in the cats' way


def test_an_excluded_label_is_in_neither_queries_nor_gallery():
    pictures = (*CATS_AND_DOGS, ("clutter/1", "clutter", 9), ("clutter/2", "clutter", 1))
    found = evaluate(index_of(*pictures), ks=(1,), exclude_labels=["clutter"])
    document = found.to_json()
    assert (document["queries"], document["gallery"], document["excluded"]) == (4, 4, 2)
    assert values(found, "P@1") == values(evaluate(index_of(*CATS_AND_DOGS), ks=(1,)), "P@1")


def test_copies_count_as_answers_unless_they_are_grouped():
    pictures = [("a/1", "a", 0, "x"), ("a/1 copy", "a", 0, "x"), ("a/2", "a", 20, "y"), ("b/1", "b", 9, "z")]
    plain = evaluate(index_of(*pictures), ks=(1,))
    grouped = evaluate(index_of(*pictures), ks=(1,), group_duplicates=True)
    assert values(plain, "P@1") == {"a/1": 1, "a/1 copy": 1, "a/2": 0}
    assert values(grouped, "P@1") == {"a/1": 0, "a/1 copy": 0, "a/2": 0}
    assert (plain.to_json()["duplicates"], grouped.to_json()["duplicates"]) == (0, 2)


def test_near_duplicates_are_grouped_above_a_cosine():
    pictures = [("a/1", "a", 0), ("a/2", "a", 1), ("a/3", "a", 30), ("b/1", "b", 10)]
    found = evaluate(index_of(*pictures), ks=(1,), group_duplicates=0.999)  # cos 1° is .99985, cos 9° .988
    assert values(found, "P@1") == {"a/1": 0, "a/2": 0, "a/3": 0}
    assert found.to_json()["duplicates"] == 2


def test_an_index_of_queries_asks_another_index():
    queries = index_of(("q1", "cat", 1), ("q2", "dog", 14), ("q3", "owl", 50), ("q4", None, 3))
    found = evaluate(index_of(*CATS_AND_DOGS), queries=queries, ks=(1, 2))
    assert values(found, "P@2") == {"q1": 1, "q2": 0.5}
    document = found.to_json()
    assert (document["skipped_lone"], document["unlabelled"], document["protocol"]) == (1, 1, "queries")


def test_the_same_id_in_two_indexes_is_the_same_picture_unless_the_files_differ():
    gallery = index_of(("1", "cat", 0, "x"), ("2", "cat", 9, "y"))
    assert evaluate(gallery, queries=index_of(("1", "cat", 0, "x")), ks=(1,)).scores.available[0] == 1
    assert evaluate(gallery, queries=index_of(("1", "cat", 0, "")), ks=(1,)).scores.available[0] == 1
    assert evaluate(gallery, queries=index_of(("1", "cat", 0, "other")), ks=(1,)).scores.available[0] == 2


def test_indexes_of_two_extractors_are_refused():
    other = index_of(("q", "cat", 1), spec=ExtractorSpec("angles", 2, layer="conv5"))
    with pytest.raises(IndexMismatch, match=r"layer: conv5 != "):
        evaluate(index_of(*CATS_AND_DOGS), queries=other)


def test_a_split_file_says_who_asks(tmp_path):
    split = tmp_path / "split.txt"
    split.write_text("data/cat/1 0\ndata/cat/2 1\ndata/dog/2 1\n")
    found = evaluate(index_of(*CATS_AND_DOGS), split=split, ks=(1,))
    assert (found.queries, found.gallery) == (["cat/1"], ["cat/2", "dog/2"])
    assert found.to_json()["outside_split"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ks": (0,)}, "k must be a whole number of at least 1; it is 0"),
        ({"ks": ()}, "got none"),
        ({"group_duplicates": 1.5}, r"a cosine in \(0, 1\]; it is 1.5"),
        ({"exclude_labels": ["cats"]}, "No picture has the label 'cats'.* Did you mean 'cat'"),
        ({"exclude_labels": ["cat", "dog"]}, "nothing to evaluate: 0 of 4 pictures have no label and 4 an excluded"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(BadQuery, match=message):
        evaluate(index_of(*CATS_AND_DOGS), **arguments)


def test_what_precision_cannot_exceed_in_small_classes_is_said():
    said = "Classes are small: an answer with every hit right has P@3 0.3333"  # one other of the class, three places
    assert said in evaluate(index_of(*CATS_AND_DOGS), ks=(1, 3)).notes()
    assert "Classes are small" not in str(evaluate(index_of(*CATS_AND_DOGS), ks=(1,)))


def test_an_index_without_labels_or_pairs_has_nothing_to_evaluate():
    with pytest.raises(BadQuery, match=r"none of the 1 pictures has a label.*`imgsearch export -o labels.csv`"):
        evaluate(index_of(("1", None, 0)))
    with pytest.raises(BadQuery, match="None of 2 labelled pictures shares its label with another one"):
        evaluate(index_of(("1", "cat", 0), ("2", "dog", 0)))


def test_an_index_that_changes_while_it_is_read_is_not_evaluated(monkeypatch):
    index = index_of(*CATS_AND_DOGS)
    read = index.entries

    def read_while_another_deletes():
        index.delete(["cat/1"])
        return read()

    monkeypatch.setattr(index, "entries", read_while_another_deletes)
    with pytest.raises(BadQuery, match="memory: changed while it was read"):
        evaluate(index)


def test_the_document_is_plain_json_with_the_promised_keys():
    document = evaluate(index_of(*CATS_AND_DOGS, ("owl", "owl", 5))).to_json(per_query=True)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert {"queries", "classes", "skipped_lone", "unlabelled", "micro", "macro", "per_class", "passport"} <= set(
        document
    )
    names = [*(f"P@{k}" for k in (1, 4, 10)), "R-precision", "MAP@R", "mAP"]
    assert set(names) <= set(document["micro"])
    assert set(document["micro"]["P@1"]) == {"value", "low", "high"}
    assert document["passport"]["spec"]["name"] == "angles"
    assert "probes" not in document["passport"]
    assert all(math.isfinite(v) for v in document["per_query"]["values"]["mAP"])


def random_index(n=120, dim=8, address="memory:"):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(n, dim)) + rng.normal(size=(6, dim))[np.arange(n) % 6]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = create_index(address, new_passport(ExtractorSpec("random", dim)))
    index.add([ImageRecord(f"{i:03d}", f"class {i % 6}") for i in range(n)], vectors)
    index.flush()
    return index


def test_a_ranking_is_evaluated_and_named_in_the_document():
    index = random_index()
    plain, ranked = evaluate(index, ks=(4,)), evaluate(index, ks=(4,), rank="pca:6:0.5,dba:5:1,qe:5:1")
    assert ranked.to_json()["rank"] == "pca:6:0.5,dba:5:1,qe:5:1"
    assert plain.to_json()["rank"] is None
    assert ranked.to_json()["micro"]["mAP"]["value"] > plain.to_json()["micro"]["mAP"]["value"]
    assert (ranked.scores.available == 119).all()  # the query itself is still no answer


def test_a_misspelt_ranking_is_refused():
    with pytest.raises(BadQuery, match="no ranking step 'pka:3'"):
        evaluate(index_of(*CATS_AND_DOGS), rank="pka:3")


def test_trec_files_hold_the_same_ranking(tmp_path):
    found = evaluate(random_index(), ks=(4,), rank="qe:5:1", trec=tmp_path / "all")
    run, qrels = (str(tmp_path / f"all.{part}") for part in ("run", "qrels"))
    read = ir_measures.read_trec_qrels(qrels), ir_measures.read_trec_run(run)
    theirs = ir_measures.calc_aggregate([ir_measures.AP, ir_measures.P @ 4], *read)
    micro = found.to_json()["micro"]
    assert theirs[ir_measures.AP] == pytest.approx(micro["mAP"]["value"], abs=1e-9)
    assert theirs[ir_measures.P @ 4] == pytest.approx(micro["P@4"]["value"], abs=1e-9)


def test_trec_files_cost_no_second_reading_and_no_second_learning(tmp_path, monkeypatch, capsys):
    address = f"local:{tmp_path / 'a.db'}"
    random_index(address=address).close()
    done = Counter()
    for kind, name in ((LocalIndex, "entries"), (LocalIndex, "records"), (PcaStep, "fit")):
        whole = getattr(kind, name)

        def counted(*given, whole=whole, name=name, **more):
            done[name] += 1
            return whole(*given, **more)

        monkeypatch.setattr(kind, name, counted)
    arguments = ["evaluate", "--index", address, "--rank", "pca:6", "--trec", str(tmp_path / "all"), "--json"]
    monkeypatch.setattr(sys, "argv", ["imgsearch", *arguments])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert json.loads(capsys.readouterr().out)["rank"] == "pca:6"
    assert (tmp_path / "all.run").read_text().count("\n") == 120 * 119
    assert done == {"entries": 1, "records": 1, "fit": 1}


def test_trec_files_that_cannot_be_written_are_an_error(tmp_path):
    with pytest.raises(BadQuery, match=r"missing/all\.run cannot be written: .*\. Name another file"):
        evaluate(random_index(), trec=tmp_path / "missing" / "all")


def test_an_evaluation_and_its_repetition_learn_once(monkeypatch):
    index = random_index()
    fits = []
    fit = PcaStep.fit
    monkeypatch.setattr(PcaStep, "fit", lambda *given, **more: fits.append(1) or fit(*given, **more))
    for excluded, learned in (([], 1), ([], 1), (["class 0"], 2), (["class 0"], 2), (["class 1"], 3)):
        found = evaluate(index, ks=(4,), rank="pca:6:0.5,dba:3:1", exclude_labels=excluded)
        assert found.to_json()["gallery"] == 120 - 20 * len(excluded)
        assert len(fits) == learned

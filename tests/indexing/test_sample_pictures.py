"""The default extractor on real photographs: the nearest neighbour of a picture shows the same subject."""

from __future__ import annotations

from imgsearch_kit.datasets import sample_pictures
from imgsearch_kit.evaluation.over_index import evaluate
from imgsearch_kit.extractors import load_extractor
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder


def test_at_least_95_percent_of_nearest_neighbours_show_the_same_subject(tmp_path, conv_weights):
    extractor = load_extractor("vgg16-rmac", conv_weights)
    with create_index("memory:", new_passport(extractor.spec)) as index:
        report = index_folder(sample_pictures(tmp_path / "pictures"), index, extractor)
        assert report.counts() == {"added": 200}
        first = evaluate(index, ks=(1,)).to_json()["micro"]["P@1"]
    assert first["value"] >= 0.95

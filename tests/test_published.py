"""What is published from an index, wherever it was made, names no folder of a person."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import ImageRecord, folder_name

ROOTS = {
    "/home/annelise/pictures": "pictures",
    "/home/annelise/pictures/": "pictures",
    "C:\\Users\\annelise\\pictures": "pictures",
    "C:\\Users\\annelise\\my pictures\\": "my pictures",
    "C:/Users/annelise/pictures": "pictures",
    "\\\\server\\annelise\\pictures": "pictures",
    "\\\\?\\C:\\Users\\annelise\\pictures": "pictures",
    "/mnt/c/Users/annelise": "home folder",
    "/Users/annelise": "home folder",
    "/home/annelise": "home folder",
    "C:\\Users\\annelise": "home folder",
    "C:\\Documents and Settings\\annelise": "home folder",
    "C:\\Documents and Settings\\annelise\\pictures": "pictures",
    "/home/uni/annelise": "home folder",
    "/home/uni/annelise/pictures": "pictures",
    "/home/a/annelise": "home folder",
    "/nfs/homes/annelise": "home folder",
    "/nfs/homes/annelise/pictures/": "pictures",
    "/export/home/annelise/": "home folder",
    "/export/home/staff/annelise": "home folder",
    "/export/home/annelise/pictures": "pictures",
    "D:\\": "D:",
    "/": "",
}


@pytest.mark.parametrize("root", ROOTS)
def test_no_figure_page_or_export_names_the_folders_above(root, tmp_path):
    with create_index("memory:", new_passport(None, dim=2, roots={"": root, "more": root})) as index:
        index.add([ImageRecord(f"{i}.jpg", "class") for i in range(6)], np.tile(np.eye(2, dtype=np.float32), (3, 1)))
        gallery = Gallery(index)
        gallery.export(tmp_path / "x.npz")
        gallery.export(tmp_path / "x.csv")
        gallery.map(tmp_path / "x.html", progress=False)
        evaluation = gallery.evaluate(progress=False)
        published = [json.dumps(evaluation.to_json(per_query=True)), evaluation._repr_html_(), gallery._repr_html_()]
        published += [str(index.passport), str(gallery.health(k=2, progress=False).to_json())]
    with np.load(tmp_path / "x.npz") as arrays:
        published.append(str(arrays["passport"]))
    published += [(tmp_path / name).read_text() for name in ("x.csv", "x.html")]
    assert not [text for text in published if "annelise" in text]
    assert evaluation.about["passport"]["data"] == [ROOTS[root]]
    assert folder_name(root) == ROOTS[root]


def test_the_home_folder_of_who_publishes_is_not_named_wherever_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/people/annelise")
    assert folder_name("/srv/people/annelise/") == "home folder"
    assert folder_name("/srv/people/annelise/pictures") == "pictures"
    for variable in ("USERPROFILE", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert folder_name("/srv/people/pictures") == "pictures"

"""A folder indexed on the nodes of a Ray cluster: it becomes the index of a plain run, also when a node dies."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.errors import BadQuery, IndexMismatch, MissingExtra, ServerUnavailable
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing import on_ray
from imgsearch_kit.indexing.folder import index_folder
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def photos(tmp_path):
    """80 pictures of three classes, one whose vector is zero, one that is none, and two of equal bytes."""
    root = tmp_path / "photos"
    for i in range(80):
        paint(root / f"class {i % 3}" / f"{i:03}.png", (i * 37 % 251 + 1, i * 91 % 241 + 1, i * 151 % 239 + 1))
    paint(root / "class 0" / "black.png", "black")
    paint(root / "class 1" / "twin.png", (1, 1, 1))
    (root / "class 2" / "broken.png").write_bytes(b"no picture")
    return root


def content(index):
    records, vectors = index.entries()
    return records, vectors.tolist(), index.failures()


def plain(root):
    """What a run without Ray makes."""
    with create_index("memory:", new_passport(QuarterColours().spec)) as index:
        index_folder(root, index, QuarterColours(), progress=False)
        return content(index)


def test_without_ray_a_sentence_says_how_to_install_it_and_no_index_is_made(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"ray is not installed. Type: python -m pip install 'imgsearch-kit\[ray\]'"):
        Gallery.from_folder(photos, f"local:{tmp_path / 'x.db'}", QuarterColours(), ray="local", progress=False)
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("address", ["", "here", "10.0.0.1", "ray://10.0.0.1:10001", "host:port"])
def test_what_is_no_address_of_a_cluster_is_refused(photos, address):
    with pytest.raises(BadQuery, match="A Ray cluster is auto, local or HOST:PORT; it is"):
        Gallery.from_folder(photos, "memory:", QuarterColours(), ray=address, progress=False)


# -- with Ray ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    """Three nodes with a processor each, every node a process of its own; the first also has what holds them."""
    from ray.cluster_utils import Cluster

    on_ray.ray_library()
    size = {"num_cpus": 1, "object_store_memory": 80 << 20}
    made = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    for _ in range(2):
        made.add_node(**size)
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.fixture
def small_tasks(monkeypatch):
    monkeypatch.setattr(on_ray, "ROWS", 2)  # so that each node has some


@pytest.mark.ray
def test_the_index_is_that_of_a_plain_run_and_is_continued(photos, cluster, small_tasks, tmp_path):
    where, options = f"local:{tmp_path / 'x.db'}", {"ray": cluster.address, "progress": False}

    class Stop(Exception):
        pass

    def stop(done, total):
        if done >= 60:
            raise Stop("now")

    with pytest.raises(Stop, match="now"):
        Gallery.from_folder(photos, where, QuarterColours(), tell=stop, **options)
    with Gallery.from_folder(photos, where, QuarterColours(), **options) as gallery:
        assert content(gallery.index) == plain(photos)
        assert gallery.report.counts() == {"added": 81 - 32, "unchanged": 32}  # 32 are committed at once
    (photos / "class 0").rename(photos / "class 9")
    paint(photos / "class 1" / "001.png", (77, 1, 1))
    with Gallery.from_folder(photos, where, QuarterColours(), prune=True, **options) as gallery:
        assert gallery.report.counts() == {"moved": 27, "updated": 1, "unchanged": 53}
        assert content(gallery.index) == plain(photos)


@pytest.mark.ray
def test_an_index_on_a_server_is_that_of_a_plain_run_in_two_parts(photos, cluster, small_tasks, server_address):
    for part in ("1/2", "2/2", "1/2"):
        options = {"method": "flat", "part": part, "ray": cluster.address, "progress": False}
        Gallery.from_folder(photos, server_address, QuarterColours(), **options).close()
    with Gallery.open(server_address) as gallery:
        assert content(gallery.index) == plain(photos)


class Changed(QuarterColours):
    """An extractor that is no longer what it was, as one of other weights says at its first use."""

    def extract(self, pixels):
        raise IndexMismatch("The weights are others.")


@pytest.mark.ray
def test_what_an_actor_refuses_is_said_in_the_words_of_the_kit(photos, cluster):
    with create_index("memory:", new_passport(QuarterColours().spec)) as index:
        load = on_ray.over_ray(cluster.address, Changed(), 10**6)
        with pytest.raises(IndexMismatch, match=r"^The weights are others\.$"):
            index_folder(photos, index, QuarterColours(), load=load, progress=False)
        assert len(index) == 0


@pytest.mark.ray
def test_a_cluster_that_does_not_answer_is_named_before_an_index_is_made(photos, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ServerUnavailable, match=rf"The Ray cluster '{address}' cannot be used: .*refused"):
        Gallery.from_folder(photos, f"local:{tmp_path / 'x.db'}", QuarterColours(), ray=address, progress=False)
    assert not (tmp_path / "x.db").exists()


class Dying(QuarterColours):
    """On one node it notes that it has begun, and never ends; on the others it waits until that is so."""

    def __init__(self, node, begun):
        super().__init__()
        self.node, self.begun = node, begun

    def extract(self, pixels):
        import ray

        if ray.get_runtime_context().get_node_id() == self.node:
            self.begun.touch()
            time.sleep(3600)
        while not self.begun.exists():
            time.sleep(0.05)
        return super().extract(pixels)


@pytest.mark.ray
def test_what_a_node_had_in_hand_when_it_was_killed_is_done_by_others(photos, cluster, small_tasks, tmp_path):
    begun = tmp_path / "begun"
    node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    cluster.wait_for_nodes()

    def kill():
        while not begun.exists():
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    index = create_index("memory:", new_passport(QuarterColours().spec))
    load = on_ray.over_ray(cluster.address, Dying(node.node_id, begun), 10**6)
    report = index_folder(photos, index, QuarterColours(), load=load, progress=False)
    killer.join(60)
    assert begun.exists()
    assert len(cluster.list_all_nodes()) == 3
    assert report.added == 81
    assert content(index) == plain(photos)

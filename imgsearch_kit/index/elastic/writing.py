"""An index of the kit on Elasticsearch: opened, created, and written."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from imgsearch_kit.errors import IndexMismatch, IndexNotFound, IndexUnwritable, closing_on_error
from imgsearch_kit.index.address import Address
from imgsearch_kit.index.arguments import NOT_TEXT, check_add, is_text
from imgsearch_kit.index.base import batched
from imgsearch_kit.index.elastic import bodies, bulk, checks, replacing
from imgsearch_kit.index.elastic.bodies import Json
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.documents import PAGE, KitDocuments, recognised
from imgsearch_kit.index.elastic.errors import MAJORS
from imgsearch_kit.index.elastic.methods import Method, parse_method
from imgsearch_kit.index.elastic.reading import ElasticReader, following
from imgsearch_kit.index.elastic.replacing import changing
from imgsearch_kit.index.stored import check_complete, rebuilt_otherwise, replaced_failures
from imgsearch_kit.records import FORMAT_VERSION, Approx, Failure, ImageRecord, IndexPassport, Refused, Vectors

SELF_COSINE = 0.9999  # the lowest accepted cosine between a stored vector and the best hit for it
SAMPLE = 8


def open_elastic(address: str | Address) -> ElasticIndex:
    """The index at ``http(s)://HOST:PORT/NAME``, where NAME is an alias or an index.

    :raises IndexNotFound: when nothing is there.
    :raises IndexMismatch: when it is another program's.
    :raises ServerUnavailable: when the server does not answer as it should.
    """
    server = Server(address)
    with closing_on_error(server):
        index = _opened(server)
        index._keep(index._passport, index._operations())
        return index


def create_elastic(address: str | Address, passport: IndexPassport) -> ElasticIndex:
    """A new, empty index with the method SPEC ``passport.method``; its address is an alias for it.

    :raises BadQuery: when the method or one of its parameters is unknown or out of range.
    :raises IndexMismatch: when something is there already.
    :raises PluginMissing: when the method is one of Elastiknn's and a node has no such plugin.
    """
    method = parse_method(passport.method, passport.dim)
    server = Server(address)
    with closing_on_error(server):
        _check_free(server)
        return _created(server, passport, method, serving=True)


def check_elastic_creatable(address: str | Address, method: str, dim: int) -> None:
    """Checks that ``create_elastic`` can make an index with this method SPEC, without making one.

    :raises BadQuery: when the method or one of its parameters is unknown or out of range.
    :raises IndexMismatch: when something is there already.
    :raises PluginMissing: when the method is one of Elastiknn's and a node has no such plugin.
    """
    wanted = parse_method(method, dim)
    server = Server(address)
    try:
        _check_free(server)
        _check_able(server, wanted)
    finally:
        server.close()


def rebuild_elastic(address: str | Address, passport: IndexPassport) -> ElasticIndex:
    """A new, empty index that does not replace the one at ``address`` yet, to be filled and then ``publish``-ed.

    What an interrupted rebuild of this address left behind is deleted first; only one rebuild may run at a time.
    """
    method = parse_method(passport.method, passport.dim)
    server = Server(address)
    with closing_on_error(server):
        replacing.discard_unfinished(server, server.name)
        return _created(server, passport, method, serving=False)


def _opened(server: Server) -> ElasticIndex:
    """The index at the server's name; count and generation of its passport are not known yet."""
    found = server.request("GET", f"/{server.name}")
    if not all(_has_known_version(index) for index in found.values()):
        server.check_version()
    name, index = checks.the_one(server, found)
    if "mappings" not in index:
        raise server.errors.no_elasticsearch("its answer has no mappings")
    documents, passport = recognised(server, name, index)
    checks.check_source(server, index["mappings"])
    if documents.writable:
        checks.check_unchanged_mapping(server, index["mappings"], documents.method, passport.dim)
    opened = ElasticIndex(server, name, documents, passport)
    opened._has_write_alias = replacing.write_alias(name) in index.get("aliases", {})
    return opened


def _has_known_version(index: Any) -> bool:
    """Whether a server's answer about an index shows that a supported server version created it.

    This saves the request for the version: the server cannot be older than its index.
    """
    try:
        return int(index["settings"]["index"]["version"]["created"]) // 1_000_000 in MAJORS and "mappings" in index
    except (KeyError, TypeError, ValueError):
        return False


def _check_free(server: Server) -> None:
    with contextlib.suppress(IndexNotFound):
        found = _opened(server)
        raise IndexMismatch(
            f"There is an index at {server.address} already, with {len(found)} records. "
            "Open it, delete it, or give another address."
        )


def _check_able(server: Server, method: Method) -> None:
    server.check_version()
    if not method.native:
        server.require_plugin(method.name)


def _created(server: Server, passport: IndexPassport, method: Method, *, serving: bool) -> ElasticIndex:
    _check_able(server, method)
    name = f"{server.name}-{uuid.uuid4().hex[:8]}"
    aliases = [server.name] if serving else []
    body = bodies.index_body(method, passport, aliases, replacing.write_alias(name))
    server.request("PUT", f"/{name}", body, again=False)
    index = ElasticIndex(server, name, KitDocuments(method, server.address), dataclasses.replace(passport, count=0))
    index._serves = serving
    index._counted = index._caught_up = True  # nobody knows of it yet
    return index


def _failures_in(found: Json) -> list[Failure]:
    """The failures in their document as the server returns it; [] where there is none."""
    return [Failure(**each) for each in found["_source"][bodies.FAILURES]] if found["found"] else []


def _why_refused(record: ImageRecord) -> str:
    """The reason why a record cannot be stored as a document; "" if it can."""
    for what, text in (("name", record.id), ("label", record.label or ""), ("path", record.path)):
        if not is_text(text):
            return NOT_TEXT
        if (size := len(text.encode())) > bodies.LONGEST:
            return f"Its {what} has {size} bytes, and a server accepts at most {bodies.LONGEST}. Shorten it."
    return ""


class ElasticIndex(ElasticReader):
    """An index on a server; one of the original system is read-only, and most of its passport is unknown.

    A server has no commit over several documents: an interrupted run leaves part of a batch written, and the next run,
    with the same ``_id`` for the same record, completes it.
    """

    _has_write_alias = True
    _serves = (
        True  # False for a new index that is not published yet; it must never follow the address to the current one
    )

    def check_writable(self) -> None:
        """Checks that the kit made the index, with an alias for writes."""
        if not self._documents.writable:
            raise IndexUnwritable(
                f"The index at {self.address} was built by the original system and is opened for reading only. "
                f"Make a full index of it: imgsearch copy {self.address} NEW_ADDRESS --extractor NAME"
            )
        if not self._has_write_alias:
            raise IndexUnwritable(
                f"The index {self._name} at {self.address} has no alias {replacing.write_alias(self._name)}, through "
                "which the kit writes; a clone or a restored snapshot has none. "
                f"Make a full index of it: imgsearch copy {self.address} NEW_ADDRESS"
            )

    def check_replaceable(self) -> None:
        """Checks that the address is an alias which the kit made for this index."""
        name, server = self._name, self._connected
        if self._documents.writable and replacing.is_of(name, server.name):
            return
        if name == server.name:
            what = "is an index itself, not an alias"
        else:
            what = f"is an alias for the index {name}, which was not made for it"
        if self._documents.writable and replacing.is_of(name, replacing.made_for(name)):
            own = f"{self.address.removesuffix(server.name)}{replacing.made_for(name)}"
            instead = f"Use the address of that index: {own}; its other aliases then follow"
        else:
            instead = f"Copy it to another address: imgsearch copy {self.address} NEW_ADDRESS --method SPEC"
        raise IndexMismatch(f"{self.address} {what}, so it cannot be replaced. {instead}")

    @changing
    def add(self, records: Sequence[ImageRecord], vectors: Vectors, *, replaces: Sequence[str] = ()) -> list[Refused]:
        """Writes records with their vectors; the ids in ``replaces`` are deleted when all others are written."""
        checked = check_add(records, vectors, self._passport.dim)
        reasons = [_why_refused(record) for record in records]
        refused = [Refused(record.id, why) for record, why in zip(records, reasons, strict=True) if why]
        pack = self._method.native and self._connected.takes_base64
        actions = (
            bulk.index_action(
                record.id, bodies.document_id(record.id), bodies.document(record, vector, self._method, pack=pack)
            )
            for record, vector, why in zip(records, checked, reasons, strict=True)
            if not why
        )
        with self._changing:
            self._upgrade()
            refused += [Refused(done.id, done.reason) for done in self._write(actions) if done.reason]
            if replaces and not refused:
                self.delete(sorted(set(replaces).difference(record.id for record in records)))
        return refused

    @changing
    def delete(self, ids: Sequence[str]) -> int:
        """Removes records and vectors; returns how many there were."""
        with self._changing:
            present = self._present(ids)
            outcomes = self._write(bulk.delete_action(id_, bodies.document_id(id_)) for id_ in present)
        if bad := next((done for done in outcomes if done.reason), None):
            raise IndexUnwritable(f"{bad.id!r} could not be deleted from {self.address}: {bad.reason}. Try again.")
        return sum(done.status == 200 for done in outcomes)

    @following
    def failures(self) -> list[Failure]:
        """The files that could not be indexed, in path order, stored in one document."""
        (found,) = self._documents_of([bodies.FAILURES])
        return _failures_in(found)

    @changing
    def set_failures(self, failures: Sequence[Failure], *, among: Callable[[str], bool] | None = None) -> None:
        """Replaces the list of files that could not be indexed, or a part of it.

        A part is written only over the list that was read. Where another writer was faster, it is read again: each
        time one of them has succeeded, so this ends.
        """
        status = bulk.CONFLICT
        while status == bulk.CONFLICT:
            (found,) = self._documents_of([bodies.FAILURES])
            stored = _failures_in(found)
            latest = replaced_failures(stored, failures, among)
            if latest == stored:
                return
            document = {bodies.FAILURES: [dataclasses.asdict(failure) for failure in latest]}
            over = None if among is None else found
            (done,) = self._write([bulk.index_action("", bodies.FAILURES, document, over=over)])
            status = done.status
        if done.reason:
            raise IndexUnwritable(f"{self.address} refused the list of failures: {done.reason}. Try again.")

    @following
    def learned(self) -> bytes:
        """What a baked ranking has learned, read from separate documents."""
        part, count, learned = 0, 1, b""
        while part < count:
            (found,) = self._documents_of([bodies.learned_id(part)])
            if not found["found"]:
                return b""
            part, count = part + 1, found["_source"]["parts"]
            learned += base64.b64decode(found["_source"][bodies.LEARNED])
        return learned

    @changing
    def set_learned(self, learned: bytes) -> None:
        """Stores what a baked ranking has learned."""
        parts = enumerate(bodies.learned_documents(learned))
        outcomes = self._write([bulk.index_action("", bodies.learned_id(i), document) for i, document in parts])
        if bad := next((done for done in outcomes if done.reason), None):
            raise IndexUnwritable(f"{self.address} refused what the ranking has learned: {bad.reason}. Try again.")

    @changing
    def amend(
        self,
        *,
        roots: dict[str, str] | None = None,
        label_levels: dict[str, list[int]] | None = None,
        rank: str | None = None,
        uuid: str | None = None,
    ) -> None:
        """Writes the given passport fields into the passport as it is on the server now.

        The server cannot compare a mapping before it replaces it, so changes are agreed in a document: each one is
        noted there over the version that was read, and then shown in the mapping, until the mapping has the latest
        note. A late writer thus shows the changes of all others too.
        """
        while True:
            (found,) = self._documents_of([bodies.PASSPORT])
            shown = self._stored_passport()
            latest = max(shown, self._noted(found) or shown, key=lambda passport: passport.generation)
            new = latest.amended(roots=roots, label_levels=label_levels, rank=rank, uuid=uuid)
            if new != latest:
                self._note(dataclasses.replace(new, generation=latest.generation + 1), over=found)
            elif latest != shown:
                with self._changing:
                    self._counted = False
                    self._put_mapping({"_meta": bodies.passport_meta(latest)})
            else:
                return

    def _noted(self, found: Json) -> IndexPassport | None:
        """The passport in its document as the server returns it; None where there is none."""
        if not found["found"]:
            return None
        passport = self._documents.passport({"mappings": {"_meta": found["_source"]}})
        return dataclasses.replace(passport, probes=self._passport.probes)

    def _note(self, passport: IndexPassport, over: Json) -> None:
        """Writes the document of the passport, unless another writer has changed it since it was read."""
        document = bodies.passport_meta(dataclasses.replace(passport, probes=np.zeros((0, 0), np.float32)))
        (done,) = self._write([bulk.index_action("", bodies.PASSPORT, document, over=over)])
        if done.reason and done.status != bulk.CONFLICT:
            raise IndexUnwritable(f"{self.address} refused a change of its passport: {done.reason}. Try again.")

    def _upgrade(self) -> None:
        """Makes an index of the first format one of the present, in one request."""
        if self._passport.format < FORMAT_VERSION:
            new = dataclasses.replace(self._stored_passport(), format=FORMAT_VERSION)
            self._put_mapping(bodies.upgrade_body(new))
            self._passport = dataclasses.replace(self._passport, format=FORMAT_VERSION)

    def _put_mapping(self, body: bodies.Json) -> None:
        path = f"/{replacing.write_alias(self._name)}/_mapping"
        self._connected.request("PUT", path, body, write_index_only="true")

    def publish(self, count: int, *, unchanged: int | None = None) -> None:
        """Points the address to this index and deletes the old one, in one step.

        From the last check of the old one's generation on, nobody can write to it.

        :raises IndexMismatch: when there are not ``count`` records, one of a sample is not found by its own vector, or
            the old index has another generation than ``unchanged``; the old index keeps serving.
        """
        self.flush()
        check_complete(self, count)
        self._check_sample()
        replacing.replace(
            self._connected,
            self._name,
            unchanged,
            generation=lambda: _opened(self._connected).read_passport().generation,
        )
        self._serves = True

    def _check_sample(self) -> None:
        approx = None if self._method.answers_exactly else Approx()
        sample = self._documents.page_body(self._documents.everything, SAMPLE, vectors=True)
        for hit in self._hits(sample):
            vector = self._documents.vector(hit)[None]
            best = float(self.search(vector, 1, approx=approx).scores[0, 0])
            if not best >= SELF_COSINE:
                raise IndexMismatch(
                    f"The new index for {self.address} finds the vector of {self._documents.record(hit).id!r} with "
                    f"cosine {best:.6f}, not 1, so the old one stays in use. Build it again."
                )

    def remove(self) -> None:
        """Deletes the index with all its aliases, if it still exists, and closes it."""
        if not self._documents.writable:
            raise IndexUnwritable(
                f"The index at {self.address} was built by the original system, and the kit deletes only indexes that "
                "it made. Delete it with the server's own tools, when nothing else needs it."
            )
        with contextlib.suppress(IndexNotFound):  # also when the answer to a first attempt was lost
            self._connected.request("DELETE", f"/{self._name}")
        self._unseen = False
        self.close()

    def _present(self, ids: Sequence[str]) -> list[str]:
        """Those of ``ids`` that exist now, searchable or not."""
        self._check_list(ids)
        keys = {bodies.document_id(id_): id_ for id_ in ids}
        found = []
        wanted = {"_source": "false", "filter_path": "docs._id,docs.found,docs.error"}
        for part in batched(keys, PAGE):
            found += [keys[doc["_id"]] for doc in self._documents_of(part, **wanted) if doc["found"]]
        return found

    def _documents_of(self, keys: Sequence[str], **wanted: str) -> list[Json]:
        """The documents with these ``_id``, as they are now, searchable or not."""
        found: list[Json] = self._request("POST", "_mget", {"ids": keys}, **wanted)["docs"]
        if bad := next((doc for doc in found if "error" in doc), None):
            raise self._connected.errors.refusal(503, bad)
        return found

    def _write(self, actions: Iterable[bulk.Action]) -> list[bulk.Outcome]:
        with self._changing:
            self._unseen, self._counted = True, False
            return bulk.write(self._connected, replacing.write_alias(self._name), actions)

    def _follow(self) -> None:
        if not self._serves:
            raise replacing.deleted_by_another(self.address)
        other = _opened(self._connected)
        mine, theirs = ((p.spec, p.dim, p.baked) for p in (self._passport, other._passport))
        if mine != theirs:
            raise rebuilt_otherwise(self.address)
        self._name, self._passport, self._documents = other._name, other._passport, other._documents
        self._has_write_alias = other._has_write_alias
        self._counted = self._caught_up = False

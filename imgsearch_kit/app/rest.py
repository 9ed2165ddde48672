"""Plain HTTP beside the page: search, the original system's route, health, and their description."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from functools import partial
from typing import IO, Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, File, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.routing import BaseRoute

import imgsearch_kit
from imgsearch_kit.app.api import DEFAULT_K, MAX_K, answer
from imgsearch_kit.app.contact_sheet import IndexPicture
from imgsearch_kit.app.exports import MOST_ORIGINALS, packed_originals
from imgsearch_kit.app.frame import Frame
from imgsearch_kit.app.guarding import Guard
from imgsearch_kit.app.own_head import INDEX_PICTURE
from imgsearch_kit.app.rest_docs import described
from imgsearch_kit.app.rest_models import HealthAnswer, OriginalHit, Refusal, SearchAnswer
from imgsearch_kit.boxes import parse_box
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import json_text
from imgsearch_kit.results import Results

SEARCHES_TOGETHER = 2  # searches by these routes that run at the same time; the page's own are counted apart
ABOUT = 'Search for the neighbours of a picture, over plain HTTP. Refusals are `{"detail": "a sentence"}`.'

PICTURE_FILE = File(description="The file of a picture, at most 32 MB.", json_schema_extra={"format": "binary"})
RANK = Form(description="Re-rank by a SPEC, e.g. `pca:128:0.5,qe:10:1`.")

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "There is no picture in the request, or it cannot be read as one."},
    401: {"model": Refusal, "description": "The login of the page is missing or wrong."},
    413: {"model": Refusal, "description": "The request is too large."},
    415: {"model": Refusal, "description": "The file is no picture that the kit can decode."},
    422: {"model": Refusal, "description": "An argument is wrong."},
    503: {"model": Refusal, "description": "The index cannot answer now, or too many requests wait."},
}


class Rest:
    """The handlers of the routes over one gallery; their descriptions are those of the OpenAPI document."""

    def __init__(self, gallery: Gallery, guard: Guard, frame: Frame):
        self.gallery, self.guard, self.frame = gallery, guard, frame
        self._picture = IndexPicture(gallery)
        self._limit = anyio.CapacityLimiter(SEARCHES_TOGETHER)
        self.router = APIRouter(route_class=guard.route_class())
        add = partial(self.router.add_api_route, responses=REFUSALS, response_class=JsonText)
        add("/search", self.search, methods=["POST"], response_model=SearchAnswer)
        add("/more", self.more, methods=["POST"], response_model=SearchAnswer)
        add("/compare", self.compare, methods=["POST"], response_model=list[SearchAnswer])
        add("/image_query", self.image_query, methods=["POST"], response_model=list[OriginalHit])
        add("/health", self.health, methods=["GET"], response_model=HealthAnswer)
        if frame.allow_originals:
            zipped = {200: {"description": "A ZIP archive.", "content": {"application/zip": {}}}}
            packed: dict[str, Any] = {"responses": REFUSALS | zipped, "response_class": StreamingResponse}
            self.router.add_api_route("/originals", self.originals, methods=["POST"], **packed)
        hide = partial(self.router.add_api_route, methods=["GET"], include_in_schema=False)
        hide(INDEX_PICTURE, self.picture)
        hide("/openapi.json", self.openapi)
        hide("/docs", self.docs)

    async def search(
        self,
        image: Annotated[UploadFile | None, PICTURE_FILE] = None,
        id: Annotated[str | None, Form(description="An indexed picture, in place of a file.")] = None,  # noqa: A002
        k: Annotated[int, Form(ge=1, le=MAX_K, description="How many neighbours.")] = DEFAULT_K,
        labels: Annotated[list[str] | None, Form(description="Only these classes; can be repeated.")] = None,
        min_score: Annotated[float | None, Form(ge=-1, le=1, description="Only hits of at least this cosine.")] = None,
        rank: Annotated[str | None, RANK] = None,
        box: Annotated[str | None, Form(description="Only this part: `left,top,right,bottom` within 0 to 1.")] = None,
    ) -> Any:
        """The neighbours of a picture, or of an indexed one, as `imgsearch search --json` prints them."""
        part = parse_box(box) if box else None
        ask = partial(answer, self.gallery, id=id, k=k, labels=labels, min_score=min_score, rank=rank, box=part)
        return JsonText((await self._run(lambda: ask(_named(image)))).to_json())

    async def more(
        self,
        id: Annotated[list[str], Form(description="An indexed picture; of several, the mean.")],  # noqa: A002
        plus: Annotated[list[str] | None, Form(description="More like this one; can be repeated.")] = None,
        minus: Annotated[list[str] | None, Form(description="Less like this one; can be repeated.")] = None,
        k: Annotated[int, Form(ge=1, le=MAX_K, description="How many neighbours.")] = DEFAULT_K,
        rank: Annotated[str | None, RANK] = None,
    ) -> Any:
        """The neighbours of indexed pictures, moved towards some and away from others."""
        ask = partial(self.gallery.search, id=id, plus=plus or (), minus=minus or (), k=k, rank=rank)
        return JsonText((await self._run(ask)).to_json())

    async def compare(
        self,
        rank: Annotated[
            list[str], Form(min_length=2, max_length=4, description="Two to four SPECs, `plain` for none.")
        ],
        image: Annotated[UploadFile | None, PICTURE_FILE] = None,
        id: Annotated[str | None, Form(description="An indexed picture, in place of a file.")] = None,  # noqa: A002
        k: Annotated[int, Form(ge=1, le=MAX_K, description="How many neighbours.")] = DEFAULT_K,
    ) -> Any:
        """The neighbours of one query under each ranking, in the order of the rankings."""

        def each() -> list[dict[str, Any]]:
            specs = ["" if spec == "plain" else spec for spec in rank]
            return [answer(self.gallery, _named(image), id, k, rank=spec).to_json() for spec in specs]

        return JsonText(await self._run(each))

    async def image_query(
        self,
        image: Annotated[UploadFile, PICTURE_FILE],
        size: Annotated[int, Query(ge=1, le=MAX_K, description="How many records.")] = DEFAULT_K,
    ) -> Any:
        """The records nearest to a picture, its own among them, as the original system's server answers.

        `_score` is 1 / (1 + d), where d is the Euclidean distance of the unit vectors.
        """
        found = await self._run(lambda: answer(self.gallery, _named(image), k=size, rank=""))
        return JsonText(in_original_form(found, self._index_name(), size))

    async def originals(
        self,
        id: Annotated[list[str], Form(max_length=MOST_ORIGINALS, description="An indexed picture; can be repeated.")],  # noqa: A002
    ) -> Any:
        """The files of indexed pictures without their metadata, and `pictures.json`, which says what each one is."""
        parts = await self._run(lambda: packed_originals(self.gallery, id))
        headers = {"Content-Disposition": 'attachment; filename="pictures.zip"'}
        return StreamingResponse(parts, media_type="application/zip", headers=headers)

    async def health(self) -> Any:
        """Whether the index can be read now, and how many pictures it has."""
        passport = await self._run(self.gallery.index.read_passport)
        made_by = passport.spec.name if passport.spec else None
        index = {"uuid": passport.uuid, "generation": passport.generation, "pictures": passport.count}
        about = {"title": self.frame.title, "version": imgsearch_kit.__version__, "read_only": self.frame.read_only}
        return JsonText({"status": "ok", **about, "extractor": made_by, "index": index})

    async def picture(self) -> Any:
        """A picture of the index, which the page's head names to sites that link to it."""
        made = await self._run(self._picture.now)
        if not made:
            raise HTTPException(404, "Nothing is indexed, or no picture is where it was.")
        return Response(made, media_type="image/png")

    def openapi(self) -> Any:
        """The OpenAPI document of these routes."""
        return JsonText(self.document())

    def docs(self, request: Request) -> Any:
        """The same for people, without a script: nothing is fetched from another server."""
        return HTMLResponse(described(self.document(), str(request.base_url).rstrip("/"), login=bool(self.guard.auth)))

    def document(self) -> dict[str, Any]:
        """The OpenAPI description as plain JSON values."""
        made = get_openapi(
            title="imgsearch", version=imgsearch_kit.__version__, description=ABOUT, routes=self.router.routes
        )
        if self.guard.auth:
            made["components"]["securitySchemes"] = {"login": {"type": "http", "scheme": "basic"}}
            made["security"] = [{"login": []}]
        return made

    async def _run(self, work: Callable[[], Any]) -> Any:
        """What ``work`` returns, in a thread; two at once, so that many clients cannot exhaust memory."""
        return await run_sync(work, limiter=self._limit)

    def _index_name(self) -> str:
        """The name of the index: on a server the name there, else that of its file without its folder."""
        return re.split(r"[/\\:]", self.gallery.index.address.rstrip(":/"))[-1].removesuffix(".db")


class JsonText(JSONResponse):
    """A JSON text that names every character exactly."""

    def render(self, content: Any) -> bytes:
        """The text in ASCII."""
        return json_text(content, ascii_only=True).encode()


def rest_routes(gallery: Gallery, auth: tuple[str, str] | None, frame: Frame) -> list[BaseRoute]:
    """The routes over a gallery, each behind the login ``auth`` if there is one."""
    return list(Rest(gallery, Guard(gallery.index.address, auth), frame).router.routes)


def in_original_form(found: Results, index: str, size: int) -> list[dict[str, Any]]:
    """The first ``size`` records, the query's own among them, as the original system's server lists them."""
    best = sorted([*found.own_hits, *found.hits], key=lambda hit: (-hit.score, hit.id))[:size]
    return [
        {
            "_index": index,
            "_id": hit.id,
            "_score": 1 / (1 + math.sqrt(max(0.0, 2 - 2 * hit.score))),
            "_source": {"image_path": hit.path or hit.id},
        }
        for hit in best
    ]


def _named(upload: UploadFile | None) -> IO[bytes] | None:
    """An upload as an open file with a name; None for none, as a form without a chosen file sends it too."""
    if upload is None or not upload.filename:
        return None
    upload.file.seek(0)
    content = io.BytesIO(upload.file.read())
    content.name = upload.filename
    return content

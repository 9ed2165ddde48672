"""What the routes of ``rest`` answer, for their OpenAPI description; more keys may stand beside these."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Refusal(BaseModel):
    """Why a request was refused, in words."""

    detail: str


class HitAnswer(BaseModel):
    """One neighbour; `score` is a cosine."""

    rank: int
    id: str
    label: str | None
    score: float


class SearchAnswer(BaseModel):
    """The neighbours of a query, best first; `own` are records of the query itself, never among them."""

    query: dict[str, Any]
    method: str
    note: str
    hits: list[HitAnswer]
    own: list[str]
    ms: dict[str, float]


class OriginalSource(BaseModel):
    """What a record stores in the original system."""

    image_path: str


class OriginalHit(BaseModel):
    """One record, as the original system's server lists it."""

    index: str = Field(alias="_index")
    id: str = Field(alias="_id")
    score: float = Field(alias="_score", gt=0, le=1)
    source: OriginalSource = Field(alias="_source")


class IndexAnswer(BaseModel):
    """The index, and how much is in it."""

    uuid: str
    generation: int
    pictures: int


class HealthAnswer(BaseModel):
    """That the index can be read."""

    status: str
    title: str
    version: str
    read_only: bool
    extractor: str | None
    index: IndexAnswer

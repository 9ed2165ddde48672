"""Whatever fits the OpenAPI description of the routes, and much that does not, is answered without a server error."""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PROFILE = settings(
    max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize(
    ("route", "mode", "seen"),
    [
        ("POST /search", GenerationMode.POSITIVE, {422}),
        ("POST /search", GenerationMode.NEGATIVE, {422}),
        ("POST /more", GenerationMode.POSITIVE, {422}),
        ("POST /more", GenerationMode.NEGATIVE, {422}),
        ("POST /compare", GenerationMode.POSITIVE, {422}),
        ("POST /compare", GenerationMode.NEGATIVE, {422}),
        ("POST /image_query", GenerationMode.POSITIVE, {415}),
        ("POST /image_query", GenerationMode.NEGATIVE, {400, 422}),
        ("GET /health", GenerationMode.POSITIVE, {200}),
    ],
    ids=str,
)
def test_no_request_makes_the_server_fail(served, route, mode, seen):
    schema = schemathesis.openapi.from_url(f"{served}/openapi.json")
    method, path = route.split()
    operation = schema[path][method]
    answered = set()

    @PROFILE
    @given(operation.as_strategy(generation_mode=mode))
    def asked(case):
        answer = case.call(timeout=30)
        answered.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    asked()
    assert seen <= answered
    assert httpx.get(f"{served}/health").json()["status"] == "ok"

"""The page at ``/docs``: an OpenAPI document as HTML for people, with a command to try each route."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from imgsearch_kit.reports import html_text

LOOK = """body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
pre { padding: .8rem; overflow-x: auto; background: #8882; } td, th { text-align: left; padding: .2rem 1rem .2rem 0;
vertical-align: top; } :root { color-scheme: light dark; }"""

TRIED = {  # the form of the command that tries a route
    "/search": ["image=@query.jpg"],
    "/more": ["id=ID", "plus=ID"],
    "/compare": ["image=@query.jpg", "rank=plain", "rank=qe:10:1"],
    "/image_query": ["image=@query.jpg"],
}


def described(document: Mapping[str, Any], address: str, *, login: bool) -> str:
    """The HTML of an OpenAPI document for the server at ``address``; ``login``: whether it asks for one."""
    info = document["info"]
    parts = [
        f"<h1>{html_text(info['title'])} {html_text(info['version'])}</h1>",
        f'<p>{html_text(info["description"])}</p><p><a href="openapi.json">openapi.json</a> is this description for '
        f'programs. <a href="./">The page</a>.</p>',
        *(
            _route(method, path, about, document, f"{address}{path}", login)
            for method, path, about in _routes(document)
        ),
    ]
    title = html_text(f"{info['title']}: plain HTTP")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{LOOK}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _routes(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            yield method.upper(), path, about


def _route(method: str, path: str, about: Mapping[str, Any], document: Mapping[str, Any], url: str, login: bool) -> str:
    asked = [(p["name"], p["schema"], p.get("description", "")) for p in about.get("parameters", [])]
    form = _form(about, document)
    rows = "".join(
        f"<tr><th scope=row><code>{html_text(name)}</code></th><td>{html_text(_values(schema))}</td>"
        f"<td>{html_text(words)}</td></tr>"
        for name, schema, words in [*asked, *form]
    )
    answers = "".join(
        f"<tr><th scope=row>{code}</th><td>{html_text(answer['description'])}</td></tr>"
        for code, answer in about["responses"].items()
    )
    command = ["curl", *(["--user", "NAME:PASSWORD"] if login else [])]
    for field in TRIED.get(path, []):
        command += ["--form", field]
    words = html_text(about["description"]).replace("\n", " ")
    return (
        f"<section><h2>{method} <code>{html_text(path)}</code></h2><p>{words}</p>"
        f"<pre>{html_text(shlex.join([*command, url]))}</pre>"
        f"<table>{rows}</table><h3>Answers</h3><table>{answers}</table></section>"
    )


def _form(about: Mapping[str, Any], document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], str]]:
    """The fields of a route's multipart form: name, schema and description."""
    content = about.get("requestBody", {}).get("content", {})
    if not content:
        return []
    [kind] = content.values()  # multipart, or without a file the plain form
    name = kind["schema"]["$ref"].rpartition("/")[2]
    fields = document["components"]["schemas"][name]["properties"]
    return [(field, schema, schema.get("description", "")) for field, schema in fields.items()]


def _values(schema: Mapping[str, Any]) -> str:
    """What a value may be: ``integer, 1 to 50, 10 by default``."""
    kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    kind = kinds[0]
    words = ["file" if "contentMediaType" in kind or kind.get("format") == "binary" else kind.get("type", "any")]
    if "minimum" in kind:
        words.append(f"{kind['minimum']:g} to {kind['maximum']:g}")
    if "default" in schema:
        words.append(f"{schema['default']} by default")
    return ", ".join(words)

"""What hosts of static files want beside a site: the front matter of a static Space, and a workflow for pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

# Threads in the browser need cross-origin isolation, which only the host can switch on.
README = """---
title: {title}
emoji: 🔎
colorFrom: indigo
colorTo: gray
sdk: static
pinned: false
short_description: Search pictures by a picture, in your browser
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
  cross-origin-resource-policy: cross-origin
---

{about}

A picture that a visitor drops is embedded in the visitor's own browser; nothing of it is sent anywhere. These are plain
files: any static host serves them, and so does `python -m http.server` in this folder. The front matter above is for a
static Space; `.github/workflows/pages.yml` publishes the repository that holds this folder as pages. Where the host can
send the headers `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`, a browser
computes with several threads; without them with one.

The folder `runtime` holds files of ONNX Runtime Web under their own licence, which lies beside them. The pictures and
the network's weights have licences of their own.
"""

WORKFLOW = """name: pages
on:
  push:
    branches: [main]
  workflow_dispatch:
permissions:
  contents: read
  pages: write
  id-token: write
concurrency: pages
jobs:
  publish:
    runs-on: ubuntu-latest
    environment:
      name: github-pages
      url: ${{ steps.published.outputs.page_url }}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/upload-pages-artifact@v3
        with:
          path: .
      - id: published
        uses: actions/deploy-pages@v4
"""


def write_hosting(folder: Path, title: str, about: str) -> None:
    """Writes README.md with the front matter, the workflow, and a file that keeps pages from being processed."""
    texts: Mapping[str, str] = {
        "README.md": README.format(title=json.dumps(title), about=about),
        ".github/workflows/pages.yml": WORKFLOW,
        ".nojekyll": "",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

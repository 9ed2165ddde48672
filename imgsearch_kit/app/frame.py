"""What the owner says of the page: its title, icon and About text, which are shown as text and never run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from PIL import Image

from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.files import process_folder
from imgsearch_kit.images import load_pixels
from imgsearch_kit.reports import html_text
from imgsearch_kit.tables import read_text

ICON = 64  # pixels a side
LONGEST_ABOUT = 200_000  # characters
LONGEST_DESCRIPTION = 200
# HTML in the text is shown, not obeyed; pictures would be fetched from elsewhere by every visitor.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable("image")


@dataclass(frozen=True)
class Frame:
    """The page around its tabs: ``about`` is HTML without scripts, all else is plain text.

    ``read_only`` hides what changes the index or hands out originals; ``allow_originals`` hands them out. Folders below
    ``add_below`` can be added where the page ``changes`` the index; ``login`` says whether it asks for one.
    """

    title: str = "Image search"
    about: str = ""
    description: str = ""
    icon: Path | None = None
    read_only: bool = False
    allow_originals: bool = False
    add_below: Path | None = None
    changes: bool = False
    login: bool = False

    def unsaid(self) -> Frame:
        """The frame for who has not logged in: the title alone."""
        return Frame(self.title, icon=self.icon, login=self.login)

    def head(self, picture: str = "") -> str:
        """The page's title, description, ``og:`` tags and theme as HTML; ``picture`` is the address of one of it."""
        tags = [("name", "description", self.description), ("property", "og:title", self.title)]
        tags += [
            ("property", "og:description", self.description),
            ("property", "og:type", "website"),
            ("property", "og:image", picture),
        ]
        metas = (f'<meta {kind}="{name}" content="{html_text(text)}">' for kind, name, text in tags if text)
        return f"<title>{html_text(self.title)}</title>{''.join(metas)}{_theme()}"


def frame_of(
    title: str | None = None,
    about: Path | str | None = None,
    favicon: Path | str | None = None,
    read_only: bool = False,
    allow_originals: bool = False,
    add_below: Path | str | None = None,
) -> Frame:
    """The frame with a title, the Markdown file of its About text, and the picture file of its icon.

    :raises BadQuery: when the title is blank, a file cannot be read, ``add_below`` is no folder, or what ``read_only``
        hides is wanted too.
    """
    if title is not None and not title.strip():
        raise BadQuery("The title is blank. Give --title some words, or leave it out.")
    title = title.strip() if title else Frame.title
    if read_only and allow_originals:
        raise BadQuery("A read-only page hides originals. Leave out --read-only or --allow-originals.")
    if read_only and add_below:
        raise BadQuery("A read-only page does not change the index. Leave out --read-only or --add-below.")
    if add_below and not Path(add_below).is_dir():
        raise BadQuery(f"There is no folder {add_below}. Give --add-below a folder that is there.")
    icon = _icon(Path(favicon)) if favicon else None
    doors: dict[str, Any] = {"read_only": read_only, "allow_originals": allow_originals}
    doors["add_below"] = Path(add_below) if add_below else None
    if about is None:
        return Frame(title, icon=icon, **doors)
    text = read_text(Path(about), "About file")
    if len(text) > LONGEST_ABOUT:
        raise BadQuery(f"The About file {about} has {len(text):,} characters; at most {LONGEST_ABOUT:,} are shown.")
    return Frame(title, MARKDOWN.render(text), _first_words(text), icon, **doors)


def _first_words(markdown: str) -> str:
    """The first paragraph as plain text, shortened between words."""
    tokens = MARKDOWN.parse(markdown)
    first = next((tokens[i + 1] for i, token in enumerate(tokens) if token.type == "paragraph_open"), None)
    pieces = [child.content or " " for child in (first.children or [])] if first else []
    text = re.sub(r"\s+", " ", "".join(pieces)).strip()
    return text if len(text) <= LONGEST_DESCRIPTION else text[:LONGEST_DESCRIPTION].rpartition(" ")[0] + " …"


def _theme() -> str:
    """The style and the script that know the theme before anything is drawn, so that nothing flashes."""
    script = Path(__file__).with_name("theme.js").read_text("utf-8")
    rules = {
        "light": "background:var(--bg);color:var(--col)",
        "dark": "background:var(--bg-dark);color:var(--col-dark)",
    }
    style = "".join(f"html[data-theme={name}] body{{{rule}}}" for name, rule in rules.items())
    return f"<style>{style}</style><script>{script}</script>"


def _icon(picture: Path) -> Path:
    """A small PNG of a picture: decoded, so that nothing but pixels is handed out."""
    try:
        pixels = load_pixels(picture, ICON)
    except UnreadableImage as error:
        raise BadQuery(f"The icon {picture}: {error}") from error
    made = process_folder() / "favicon.png"
    Image.fromarray(pixels).save(made)
    return made

"""Figures with alternative text, and the look of names and classes in all of them."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from typing import Any, cast

from PIL import Image

from imgsearch_kit.errors import MissingExtra
from imgsearch_kit.files import lend_matplotlib_folder
from imgsearch_kit.outputs import GENERATOR

lend_matplotlib_folder()
try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtra("matplotlib", "notebooks") from error

DARK, LIGHT, ACCENT = "#1f3b57", "#9db4c8", "#c8501e"  # 23 %, 68 % and 42 % of white in grey
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SIGNED = {"png": "Software", "svg": "Creator", "pdf": "Creator"}  # where a file names the program that made it
LONGEST_NAME = 28


class Plot(Figure):
    """A figure outside Matplotlib's global state, with ``alt_text``: a description for those who cannot see it.

    Jupyter shows it as a picture with that text, and PNG and SVG files keep the text as their description.
    """

    alt_text: str = ""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Saves as Matplotlib does, with the alternative text among the file's metadata."""
        kind = options.get("format") or str(fname).rsplit(".", 1)[-1].lower()
        if kind in SIGNED:
            described = {"Description": self.alt_text} if kind != "pdf" else {}
            options["metadata"] = {SIGNED[kind]: GENERATOR, **described, **(options.get("metadata") or {})}
        super().savefig(fname, **options)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        drawn, small = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=100)
        # 256 colours: a third of the size, so that a notebook with its figures stays small.
        Image.open(drawn).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
        bundle = {"image/png": small.getvalue(), "text/plain": self.alt_text}
        return bundle, {"image/png": {"alt": self.alt_text}}


def new(width: float, height: float, alt_text: str, **grid: Any) -> tuple[Plot, Any]:
    """A white figure of a size in inches with its axes; ``grid`` goes to ``Figure.subplots``."""
    figure = Plot(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.alt_text = " ".join(alt_text.split())
    axes = figure.subplots(**grid)
    for ax in [axes] if isinstance(axes, Axes) else axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plain_name(name: str | None, longest: int = LONGEST_NAME) -> str:
    """A name as one line of text without formulas for Matplotlib, shortened in the middle when long."""
    name = " ".join((name or "no label").split())
    if len(name) > longest:
        name = f"{name[: longest // 2]}…{name[-(longest - longest // 2 - 1) :]}"
    return name.replace("$", r"\$")


def colours(count: int) -> list[str]:
    """``count`` colours as #rrggbb; consecutive ones differ much in hue, and in grey."""
    greys = (0.3, 0.62, 0.16, 0.47)
    return [_colour((0.58 + i * 0.381966) % 1, greys[i % len(greys)]) for i in range(count)]  # the golden angle


def _colour(hue: float, grey: float) -> str:
    """The colour of a hue that is nearest to a grey, in [0, 1], when printed without colour (ITU-R BT.601)."""
    shades = (colorsys.hls_to_rgb(hue, step / 50, 0.7) for step in range(51))
    red, green, blue = min(shades, key=lambda rgb: abs(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] - grey))
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def empty_axes(ax: Axes, what: str) -> None:
    """Writes on empty axes, and in the alternative text, that there is nothing to show."""
    cast(Plot, ax.figure).alt_text = f"Nothing to show: no {what}."
    ax.text(0.5, 0.5, f"no {what}", ha="center", va="center", transform=ax.transAxes, color=DARK)
    ax.set_xticks([])
    ax.set_yticks([])


def listed(names: Sequence[str | None], count: int = 3) -> str:
    """The first names for a sentence."""
    shown = ", ".join(str(name) for name in names[:count])
    return shown + (f" and {len(names) - count} more" if len(names) > count else "")

"""Progress bars on standard error: one place for how they look and when they show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(
    description: str,
    unit: str,
    total: int | None = None,
    items: Iterable[Any] | None = None,
    *,
    shown: bool | None = None,
    **look: Any,
) -> tqdm[Any]:
    """A bar over ``items``, or one to ``update`` in a ``with`` block; in Jupyter a widget.

    ``shown`` None: only where standard error is a terminal. ``look`` are further options of tqdm.
    """
    from tqdm.auto import tqdm

    return tqdm(items, total=total, **bar_options(description, unit, shown), **look)


def bar_options(description: str, unit: str, shown: bool | None) -> dict[str, Any]:
    """What tqdm takes for such a bar, for a library that makes its own."""
    return {"desc": description, "unit": unit, "disable": None if shown is None else not shown}

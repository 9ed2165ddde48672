"""Progress bars on standard error: one place for how they look and when they show."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def counted_progress(
    description: str, unit: str, total: int, progress: bool | Callable[[float], object] | None
) -> Iterator[Callable[[int], object]]:
    """A function to call with each number of finished items.

    It moves a bar, or where ``progress`` is a function, tells it the share that is done, from 0 to 1.
    """
    if not callable(progress):
        with progress_bar(description, unit, total, shown=progress) as bar:
            yield bar.update
        return
    finished = 0

    def count(number: int) -> None:
        nonlocal finished
        finished += number
        progress(finished / total)

    yield count


class _Shares(io.StringIO):
    """A file to which a bar writes its percentage, and which tells the share.

    tqdm holds the lock of all bars while it writes, and would never free it after an error. So what ``tell`` raises is
    kept, and raised at the next step, where tqdm looks whether it has arguments for its lock: at this object's truth.
    """

    def __init__(self, tell: Callable[[float], object]):
        super().__init__()
        self._told = tell
        self._raised: BaseException | None = None

    def __bool__(self) -> bool:
        if self._raised:
            raise self._raised
        return False

    def write(self, text: str) -> int:
        found = re.search(r"[\d.]+$", text.strip())  # not where another bar moves the cursor
        if found and not self._raised:
            try:
                self._told(float(found[0]) / 100)
            except BaseException as error:
                self._raised = error
        return len(text)


def bar_options(description: str, unit: str, shown: bool | Callable[[float], object] | None) -> dict[str, Any]:
    """What tqdm takes for such a bar, for a library that makes its own.

    Where ``shown`` is a function, no bar is drawn: the function is told the share that is done, from 0 to 1, and what
    it raises ends the work at the next step.
    """
    if callable(shown):  # every step of the loop looks at the clock, so that no other thread writes
        shares = _Shares(shown)
        look = {"bar_format": "{percentage}", "miniters": 1, "position": 0, "disable": False}
        return {"file": shares, "lock_args": shares, **look}
    return {"desc": description, "unit": unit, "disable": None if shown is None else not shown}

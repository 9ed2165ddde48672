"""Progress bars, and that there is one way to make them."""

from __future__ import annotations

import ast
import io
import re
import threading
from pathlib import Path

import pytest
from tqdm.auto import tqdm

from imgsearch_kit.progress import bar_options, progress_bar

KIT = Path(__file__).resolve().parents[1] / "imgsearch_kit"


def test_a_bar_goes_over_items_or_is_moved_by_hand(capsys):
    assert list(progress_bar("walking", "step", items=range(3), shown=True)) == [0, 1, 2]
    assert re.search(r"walking: 100%.* 3/3 .*step/s", capsys.readouterr().err)
    with progress_bar("jumping", "img", 10, shown=True) as bar:
        bar.update(10)
    assert re.search(r"jumping: 100%.* 10/10 .*img/s", capsys.readouterr().err)


@pytest.mark.parametrize("shown", [False, None])  # standard error is no terminal here
def test_a_bar_that_is_not_shown_still_gives_the_items(capsys, shown):
    assert list(progress_bar("walking", "step", items=range(3), shown=shown)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_library_s_own_bar_is_shown_likewise():
    assert [bar_options("a", "b", shown)["disable"] for shown in (True, False, None)] == [False, True, None]


def test_a_library_s_own_bar_tells_its_share_to_a_function_even_below_another_bar(capsys):
    told = []
    with progress_bar("other", "step", 3, shown=True):
        list(tqdm(range(4), mininterval=0, **bar_options("own", "step", told.append)))
    assert told[0] == 0
    assert told == sorted(told)
    assert told[-1] == 1
    assert "own" not in capsys.readouterr().err


def test_no_other_module_makes_a_bar_of_its_own():
    users = {
        path.name
        for path in KIT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import)
        if "tqdm" in ast.unparse(node)
    }
    assert users == {"progress.py"}


def test_what_ends_the_work_leaves_other_bars_free():
    class EnoughError(Exception):
        pass

    def tell(share):
        if share >= 0.5:
            raise EnoughError("enough")

    def work():
        for _ in tqdm(range(10), mininterval=0, **bar_options("working", "step", tell)):
            pass

    with pytest.raises(EnoughError, match="enough"):
        work()
    drawing = threading.Thread(target=lambda: list(tqdm(range(3), file=io.StringIO())), daemon=True)
    drawing.start()
    drawing.join(10)
    assert not drawing.is_alive()

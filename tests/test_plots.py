"""Every figure against a stored picture, with few and many classes, strange names, and nothing to show.

``REDRAW=1 python -m pytest tests/test_plots.py`` draws the stored pictures anew; look at them before
they are committed.
"""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit import plots
from imgsearch_kit.plots import MethodPoint
from imgsearch_kit.plots.figure import colours, plain_name

STORED = Path(__file__).parent / "pictures"
NAMES = ["accordion", "airplanes", "anchor", "ant", "barrel"]
MANY = [f"class number {i}" for i in range(101)]
STRANGE = ["$\\frac{a}$ and then a very long folder name indeed", "two\nlines", "<b>bold</b> & %s {x}", "$", "_^\\"]
NONE = np.zeros(0)


def values(count):
    """``count`` values between .95 and .2, with bounds .05 away."""
    value = np.linspace(0.95, 0.2, count)
    return value, value - 0.05, value + 0.05


def shares(count):
    """70 % of every class's hits are right, 20 % of the next class, 10 % of the one after."""
    return 0.7 * np.eye(count) + 0.2 * np.roll(np.eye(count), 1, axis=1) + 0.1 * np.roll(np.eye(count), 2, axis=1)


def islands(names, size=20):
    """A ring of islands, one per class: positions and labels."""
    rng = np.random.default_rng(0)
    angles = np.repeat(np.linspace(0, 2 * np.pi, len(names), endpoint=False), size)
    positions = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + rng.normal(0, 0.25, (len(angles), 2))
    return positions, [name for name in names for _ in range(size)]


def bars(names):
    return plots.precision_bars(names, *values(len(names)), np.full(len(names), 0.03), mean=(0.6, 0.55, 0.65))


def confusion(names):
    return plots.confusion_heatmap(shares(len(names)), names, names, k=10)


def class_map(names):
    return plots.class_map(*islands(names), notes=["trustworthiness at 15: 0.951"])


def front(names):
    points = [
        MethodPoint(n, 0.9 - 0.1 * i, 2.0 + i, 0.88 - 0.1 * i, 0.92 - 0.1 * i, n) for i, n in enumerate(names[:4])
    ]
    return plots.recall_latency([*points, MethodPoint("exact", 1.0, 30.0)])


BY_NAME = [bars, confusion, class_map, front]


def calibration():
    cosines = np.linspace(0.3, 1, 50)
    p = 1 / (1 + np.exp(-12 * (cosines - 0.6)))
    return plots.calibration_curve(cosines, p, p - 0.03, p + 0.03)


def reliability():
    p = np.linspace(0.05, 0.95, 8)
    return plots.reliability_diagram(p, p**1.3, p**1.3 - 0.04, p**1.3 + 0.04, np.arange(1, 9) * 100, error=0.062)


def drawn(figure, dpi=50):
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def difference(picture, other):
    """Root mean square difference in grey, 0 .. 255, of the pictures at a quarter of their size.

    So fonts of another Matplotlib count little, and a bar of another length counts.
    """
    small = [np.asarray(p.convert("L").resize((p.width // 4, p.height // 4)), float) for p in (picture, other)]
    return float("inf") if small[0].shape != small[1].shape else float(np.sqrt(np.mean((small[0] - small[1]) ** 2)))


def assert_as_stored(figure, name):
    picture, path = drawn(figure), STORED / f"{name}.png"
    if os.environ.get("REDRAW"):
        STORED.mkdir(exist_ok=True)
        picture.quantize(32).save(path, optimize=True)
    with Image.open(path) as stored:
        assert difference(picture, stored.convert("RGB")) < 6, f"{name} is drawn otherwise than in {path}"


@pytest.mark.parametrize("draw", BY_NAME, ids=lambda draw: draw.__name__)
def test_few_classes_as_stored(draw):
    assert_as_stored(draw(NAMES)[0], f"{draw.__name__}-few")


@pytest.mark.parametrize("draw", [bars, confusion, class_map], ids=lambda draw: draw.__name__)
def test_101_classes_as_stored(draw):
    assert_as_stored(draw(MANY)[0], f"{draw.__name__}-101")


@pytest.mark.parametrize("draw", [calibration, reliability], ids=lambda draw: draw.__name__)
def test_scores_as_stored(draw):
    assert_as_stored(draw()[0], draw.__name__)


def test_the_comparison_notices_what_a_reader_would():
    picture = drawn(bars(NAMES)[0])
    assert difference(picture, drawn(bars(NAMES)[0])) == 0
    longer = plots.precision_bars(NAMES, *(v + 0.1 for v in values(5)), np.full(5, 0.03), mean=(0.6, 0.55, 0.65))
    assert difference(picture, drawn(longer[0])) > 6
    assert (
        difference(drawn(confusion(NAMES)[0]), drawn(plots.confusion_heatmap(shares(5).T, NAMES, NAMES, k=10)[0])) > 6
    )
    moved = islands(NAMES)[0] * np.array([-1, 0.8])
    assert difference(drawn(class_map(NAMES)[0]), drawn(plots.class_map(moved, islands(NAMES)[1])[0])) > 6


@pytest.mark.parametrize("names", [STRANGE, ["only"]], ids=["strange", "one"])
@pytest.mark.parametrize("draw", BY_NAME, ids=lambda draw: draw.__name__)
def test_strange_names_and_a_single_class_are_drawn(draw, names):
    figure, _ = draw(names)
    assert np.asarray(drawn(figure)).std() > 0
    assert "\n" not in figure.alt_text


def test_a_name_with_dollars_is_no_formula():
    _, ax = bars(STRANGE)
    shown = [label.get_text().replace("\\$", "$") for label in ax.get_yticklabels()]
    assert shown == ["$\\frac{a}$ and…r name indeed", "two lines", "<b>bold</b> & %s {x}", "$", "_^\\"]


def test_a_long_name_is_cut_in_its_middle():
    assert plain_name("x" * 40 + "y" * 40, 11) == "xxxxx…yyyyy"
    assert plain_name(None) == "no label"


NOTHING = {
    "bars": lambda: plots.precision_bars([], NONE, NONE, NONE),
    "confusion": lambda: plots.confusion_heatmap(np.zeros((0, 0)), [], []),
    "class_map": lambda: plots.class_map(np.zeros((0, 2)), []),
    "front": lambda: plots.recall_latency([]),
    "calibration": lambda: plots.calibration_curve(NONE, NONE, NONE, NONE),
    "reliability": lambda: plots.reliability_diagram(NONE, NONE, NONE, NONE, NONE),
}


@pytest.mark.parametrize("draw", NOTHING.values(), ids=NOTHING.keys())
def test_nothing_to_show_is_said(draw):
    figure, _ = draw()
    assert figure.alt_text.startswith("Nothing to show: no ")
    assert any(text.get_text().startswith("no ") for ax in figure.axes for text in ax.texts)
    drawn(figure)


def test_pictures_without_a_label_are_on_the_map():
    positions, labels = islands(NAMES)
    figure, _ = plots.class_map(positions, [None if label == "ant" else label for label in labels])
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["no label", "1 accordion", "2 airplanes", "3 anchor", "4 barrel"]


def test_each_class_of_101_has_a_number_on_the_map_and_in_the_legend():
    figure, ax = class_map(MANY)
    numbers = {text.get_text() for text in ax.texts}
    assert numbers == {str(i) for i in range(1, 102)}
    legend = figure.legends[0].get_texts()
    assert [text.get_text().split()[0] for text in legend] == [str(i) for i in range(1, 102)]
    figure.set_dpi(100)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in legend]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert min(box.height for box in boxes) >= 8  # pixels at 100 dpi
    assert all(figure.bbox.contains(box.x0, box.y0) and figure.bbox.contains(box.x1, box.y1) for box in boxes)


def test_class_labels_of_101_bars_do_not_overlap():
    figure, ax = bars(MANY)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(a.y0 >= b.y1 - 1 for a, b in pairwise(boxes))


def test_neighbouring_classes_differ_in_grey():
    grey = [int(c[1:3], 16) * 0.299 + int(c[3:5], 16) * 0.587 + int(c[5:7], 16) * 0.114 for c in colours(12)]
    assert min(abs(a - b) for a, b in pairwise(grey)) > 15
    assert len(set(colours(101))) == 101


def test_the_front_is_what_nothing_beats():
    points = [MethodPoint(*p) for p in [("slow", 0.9, 9.0), ("best", 0.9, 2.0), ("fast", 0.5, 1.0), ("bad", 0.4, 3.0)]]
    figure, ax = plots.recall_latency(points)
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    assert figure.get_supxlabel() == "1  fast\n2  best"


def test_what_the_precision_loses_stands_below_the_recall():
    lost = {"half": (0.02, 0.01, 0.03), "whole": (-0.005, -0.01, 0.0)}
    points = [MethodPoint(name, 0.9, i + 1.0, lost=values) for i, (name, values) in enumerate(lost.items())]
    figure, ax = plots.recall_latency([*points, MethodPoint("exact", 1.0, 30.0)])
    upper, lower = figure.axes
    assert upper is ax
    drawn = [container.lines[0].get_xydata().tolist() for container in lower.containers]
    assert drawn[0][:2] == [[1.0, -0.02], [2.0, 0.005]]
    assert upper.get_shared_x_axes().joined(upper, lower)
    assert "exact" in lower.get_ylabel()


def test_the_alternative_text_is_in_files_and_in_jupyter(tmp_path):
    figure, _ = bars(NAMES)
    assert figure.alt_text.startswith("Bars of P@10 of 5 classes, from accordion (0.95) down to barrel (0.20)")
    figure.savefig(tmp_path / "f.png")
    figure.savefig(tmp_path / "f.svg")
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.text["Description"] == figure.alt_text
    assert figure.alt_text in (tmp_path / "f.svg").read_text()
    bundle, metadata = figure._repr_mimebundle_()
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == figure.alt_text


def test_nothing_global_is_touched():
    """No pyplot, so no window, no backend, and no figure that stays in memory."""
    code = (
        "import sys, matplotlib, numpy as np; settings = lambda: list(dict.items(matplotlib.rcParams));"
        "before = settings(); from imgsearch_kit import plots;"
        "f, a = plots.precision_bars(['a'], *[np.ones(1)] * 3); f.canvas.draw();"
        "print('matplotlib.pyplot' in sys.modules, settings() == before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]

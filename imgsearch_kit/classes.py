"""Which folder of a path names the class of a picture, and classes that cannot be meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from imgsearch_kit.arguments import as_integer
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.names import normal

IN_IT = -1  # the level of the folder that a file lies in
LONE = 0.9  # of the pictures alone in their class, from which on all classes are doubtful
FEWEST = 3  # pictures with a label; fewer are a trial
EXAMPLES_SHOWN = 3  # classes in a warning

YEAR, MONTH, DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
DATE = re.compile(rf"{YEAR}([-_. ]){MONTH}(?:\1{DAY})?|{DAY}([-_. ]){DAY}\2{YEAR}|{YEAR}(?:{MONTH}(?:{DAY})?)?")
DATED_FOLDERS = re.compile(rf"(?:^|/){YEAR}/{MONTH}(?:/{DAY})?$")
SIZE = re.compile(r"\d{2,5} ?[x×X] ?\d{2,5}(?: ?px)?|\d{2,5} ?px|\d{3,4}p")
USUAL_SIZES = {f"{side}" for side in (64, 96, 128, 150, 256, 320, 480, 512, 640, 720, 768, 800, 1024, 1080, 1280, 1920)}
COPIES = frozenset({"original", "originals", "preview", "previews", "thumb", "thumbnail", "thumbnails", "thumbs"})
SIZE_WORDS = COPIES | {"small", "medium", "large"}
SPLIT_WORDS = frozenset({"dev", "gallery", "query", "test", "testing", "train", "training", "val", "validation"})

Labelled = tuple[Sequence[str], str | None]  # its folders below the root, and its label


def check_level(level: int | None) -> None:
    """Checks the level of the folder that gives the label; None, for no wish, is one.

    :raises BadQuery: when it is no whole number, or 0.
    """
    if level is not None and not as_integer(level):
        raise BadQuery(
            f"The label level must be a whole number: 1 for the first folder below the root, -1 for the folder that "
            f"a file lies in; it is {level!r}."
        )


def folders_of(id: str, prefix: str = "") -> tuple[str, ...]:  # noqa: A002 (the field's name)
    """The names of the folders in an id below its prefix, from the root on."""
    below = normal(id[len(prefix) + 1 :] if prefix else id)
    return tuple(name for name in below.split("/")[:-1] if name not in ("", "."))


def folder_label(id: str, prefix: str = "", level: int = IN_IT) -> str | None:  # noqa: A002 (the field's name)
    """The label that an id has from the folder at a level; None where its path has no folder there."""
    return _at(folders_of(id, prefix), level)


def _at(folders: Sequence[str], level: int) -> str | None:
    place = level - 1 if level > 0 else len(folders) + level
    return folders[place] if 0 <= place < len(folders) else None


def doubts(pictures: Iterable[Labelled]) -> list[str]:
    """Why the classes of some pictures cannot be meant, and what to type instead; empty where nothing is wrong.

    Doubtful are a single class, or none, over folders of several names, pictures that are each alone in their class,
    and classes that are dates, picture sizes, or the parts of a split.
    """
    pictures = list(pictures)
    labelled = [(folders, label) for folders, label in pictures if label is not None]
    problem = _problem(labelled)
    hint = problem or _problem_of_level(labelled)
    if not hint:
        return []
    level = _better_level([folders for folders, _ in labelled or pictures if folders]) if _named(labelled) else None
    if level is None:
        return [f"{problem} Give the pictures other labels: imgsearch label CSV"] if problem else []
    classes = sorted({_at(folders, level) or "" for folders, _ in labelled or pictures if folders})
    return [
        f"{hint} At level {level} the folders have {len(classes):,} names ({_some(classes)}); to make them the "
        f"classes: imgsearch index FOLDER --label-level {level} (with the --index and --prefix as before)"
    ]


def _problem(labelled: Sequence[Labelled]) -> str:
    """What is wrong with the classes in any case, in a sentence; "" for nothing."""
    counts = Counter(label for _, label in labelled)
    lone = sum(count == 1 for count in counts.values())
    if len(labelled) >= FEWEST and lone >= LONE * len(labelled):
        return f"{lone:,} of {len(labelled):,} labelled pictures are alone in their class."
    if _all_in(labelled, SPLIT_WORDS):
        return f"The classes are the parts of a split ({_some(sorted(filter(None, counts)))})."
    for what, is_one in (("dates", _dated(labelled)), ("picture sizes", _sized(labelled))):
        found = sorted({label for folders, label in labelled if label and is_one(folders, label)})
        if found:
            share = f"{sum(counts[label] for label in found):,} of {len(labelled):,} labelled pictures"
            return f"Classes named like {what}: {len(found):,} of {len(counts):,} ({_some(found)}), with {share}."
    return ""


def _problem_of_level(labelled: Sequence[Labelled]) -> str:
    """What is wrong with the classes where the folders have better names at another level; "" for nothing."""
    names = sorted({label for _, label in labelled if label})
    if not names:
        return "No picture has a label."
    if len(names) == 1:
        return f"All {len(labelled):,} labelled pictures have the label {names[0]!r}."
    return f"All classes are sizes ({_some(names)})." if _are_copies(labelled) else ""


def _dated(labelled: Sequence[Labelled]) -> Callable[[Sequence[str], str], bool]:
    plain = _digits_mean(labelled, lambda label: bool(DATE.fullmatch(label)))

    def is_date(folders: Sequence[str], label: str) -> bool:
        if DATE.fullmatch(label) and (plain or not label.isdecimal()):
            return True
        down_to_it = folders[: len(folders) - folders[::-1].index(label)] if label in folders else ()
        return bool(DATED_FOLDERS.search("/".join(down_to_it)))

    return is_date


def _sized(labelled: Sequence[Labelled]) -> Callable[[Sequence[str], str], bool]:
    plain = _digits_mean(labelled, USUAL_SIZES.__contains__)
    return lambda _, label: bool(SIZE.fullmatch(label)) or (plain and label in USUAL_SIZES)


def _digits_mean(labelled: Sequence[Labelled], is_one: Callable[[str], bool]) -> bool:
    """Whether all classes of digits alone are of a kind; else they are numbers, some of which look like one."""
    return all(is_one(label) for label in {label for _, label in labelled if label and label.isdecimal()})


def _all_in(labelled: Sequence[Labelled], words: frozenset[str]) -> bool:
    return bool(labelled) and {label.lower() for _, label in labelled if label} <= words


def _are_copies(labelled: Sequence[Labelled]) -> bool:
    """Whether the classes are sizes of which some are certainly made of the others, such as thumbnails."""
    return _all_in(labelled, SIZE_WORDS) and any(label and label.lower() in COPIES for _, label in labelled)


def _named(labelled: Sequence[Labelled]) -> bool:
    """Whether the labels are names of folders, and not given by the user."""
    return all(label in folders for folders, label in labelled)


def _better_level(paths: Sequence[Sequence[str]]) -> int | None:
    """The level nearest to the files at which all paths have a folder, and several classes without a problem."""
    depths = set(map(len, paths)) or {0}
    for level in [*range(-1, -max(depths) - 1, -1), *range(max(depths), 0, -1)]:
        found = [(folders, _at(folders, level)) for folders in paths]
        names = {label for _, label in found}
        if None in names or len(names) < 2 or _problem(found) or _are_copies(found):
            continue
        return level + 1 + min(depths) if level < 0 and len(depths) == 1 else level
    return None


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:EXAMPLES_SHOWN])) + (", ..." if len(names) > EXAMPLES_SHOWN else "")

"""What paths of a labels file that are no ids seem to mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from imgsearch_kit.names import alike

UNFITTING = 100  # paths that do not fit, to see how they should begin

Having = Callable[[Sequence[str]], set[str]]  # gives those of some paths that are ids


def hints(unknown: Sequence[str], ids: Iterable[str], having: Having, *, none_fits: bool) -> dict[str, str]:
    """Words for each unknown path, to follow a reason: how it should begin, or which id it seems to mean, else "".

    Beginnings are looked at where ``none_fits``. Without ``ids``, only one that is too long is found.
    """
    beginning = _other_beginning(unknown[:UNFITTING], ids, having) if unknown and none_fits else ""
    meant = {} if beginning or not unknown else alike(unknown, ids)
    return {path: f". Did you mean {meant[path]!r}?" if path in meant else beginning for path in unknown}


def _other_beginning(paths: Sequence[str], ids: Iterable[str], having: Having) -> str:
    """What is wrong with the beginning of paths, in words after a semicolon, else "".

    The beginning that lets most of them fit is named.
    """
    rests = sorted({(head + "/", rest) for path in paths for head, rest in _cuts(path)})
    fitting = having([rest for _, rest in rests if rest])
    if much := Counter(head for head, rest in rests if rest in fitting):
        return f"; ids begin below the indexed folder, so leave {much.most_common(1)[0][0]!r} out of the paths"
    wanted = set(paths)
    lacking = Counter(head for id_ in ids for head, rest in _cuts(id_) if rest in wanted)
    return f"; begin the paths with {lacking.most_common(1)[0][0] + '/'!r}" if len(lacking) == 1 else ""


def _cuts(path: str) -> list[tuple[str, str]]:
    """A path divided at each of its slashes."""
    return [(path[:at], path[at + 1 :]) for at, letter in enumerate(path) if letter == "/"]

"""How an index on a server finds neighbours: the methods, and the SPEC that names one with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgsearch_kit.errors import BadQuery

ELASTIKNN: Mapping[str, Mapping[str, int]] = {
    "exact": {},
    "l2-lsh": {"L": 60, "k": 3, "w": 2},  # the defaults of the original system
    "cosine-lsh": {"L": 99, "k": 1},
    "permutation-lsh": {"k": 64},  # of 512 dimensions; unless given, it follows the vectors
}
NATIVE: Mapping[str, Mapping[str, int]] = {
    "flat": {},
    "hnsw": {"m": 16, "ef_construction": 100},  # the server's defaults, written out
    "int8_hnsw": {"m": 16, "ef_construction": 100},
    "bbq_hnsw": {"m": 16, "ef_construction": 100},
}
EXACT = ("exact", "flat")  # the methods that lose nothing
QUANTISED = ("int8_hnsw", "bbq_hnsw")
NO_TWIN = "no-exact"
PARAMETER_LIMITS = {"m": 512, "ef_construction": 3200, "shards": 1024}  # of Lucene and the server
LARGEST_INTEGER = 2**31 - 1
NATIVE_MAX_DIM, BBQ_MIN_DIM = 4096, 64


@dataclass(frozen=True, slots=True)
class Method:
    """How an index on a server finds neighbours, as read from a SPEC such as ``l2-lsh:L=60,k=3,w=2``.

    ``shards`` and ``replicas`` may be given with any method; without ``replicas`` an index has none on a single node
    and one on more. ``twin`` says whether a native approximate method carries a second, exact field.
    """

    name: str
    parameters: Mapping[str, int] = field(default_factory=dict)
    shards: int = 1
    replicas: int | None = None
    twin: bool = True

    @property
    def native(self) -> bool:
        """Whether the server itself knows the method, without the Elastiknn plugin."""
        return self.name in NATIVE

    @property
    def approximate(self) -> bool:
        """Whether the method may lose neighbours."""
        return self.name not in EXACT

    @property
    def has_twin(self) -> bool:
        """Whether the index holds every vector a second time, in the flat field ``exact``."""
        return self.native and self.approximate and self.twin

    @property
    def answers_exactly(self) -> bool:
        """Whether the index can search exactly; every mapping of Elastiknn can."""
        return not self.native or not self.approximate or self.twin

    @property
    def spec(self) -> str:
        """The SPEC with every parameter of the method written out."""
        given = ",".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.name}:{given}" if given else self.name


def parse_method(spec: str, dim: int) -> Method:
    """The method that a SPEC names, for vectors of ``dim`` dimensions.

    :raises BadQuery: when the name or a parameter is unknown, a value is not a whole number in its range, or the method
        cannot hold vectors of this dimension.
    """
    name, _, rest = spec.partition(":")
    known = {**ELASTIKNN, **NATIVE}
    if name not in known:
        raise BadQuery(
            f"The method {name!r} is unknown. Choose one of {', '.join(ELASTIKNN)} (Elastiknn), or {', '.join(NATIVE)}."
        )
    given, twin = {}, True
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if part == NO_TWIN and name in NATIVE and name not in EXACT:
            twin = False
        elif key in (*known[name], "shards", "replicas"):
            given[key] = _whole(spec, key, value, least=0 if key == "replicas" else 1)
        else:
            raise BadQuery(
                f"The method {name!r} has no parameter {key!r} (in {spec!r}). It takes "
                f"{', '.join([*known[name], 'shards', 'replicas'])}, each as NAME=NUMBER."
            )
    shards, replicas = given.pop("shards", 1), given.pop("replicas", None)
    parameters = {key: given.get(key, default) for key, default in known[name].items()}
    if name == "permutation-lsh" and "k" not in given:
        parameters["k"] = max(min(dim, 16), dim // 8)  # measured: an eighth found .995 of 512-d and all of 4,096-d
    method = Method(name, parameters, shards, replicas, twin)
    _check_dim(method, dim)
    return method


def _whole(spec: str, name: str, value: str, least: int) -> int:
    most = PARAMETER_LIMITS.get(name, LARGEST_INTEGER)
    digits = value.isascii() and value.isdigit() and len(value) <= len(str(LARGEST_INTEGER))
    if not digits or not least <= int(value) <= most:
        raise BadQuery(
            f"{name} must be a whole number from {least} to {most}; it is {value[:40]!r} (in {spec[:80]!r})."
        )
    return int(value)


def _check_dim(method: Method, dim: int) -> None:
    if method.name == "permutation-lsh" and method.parameters["k"] > dim:
        raise BadQuery(f"permutation-lsh needs k of at most {dim}, the vectors' dimension; k={method.parameters['k']}.")
    if method.native and dim > NATIVE_MAX_DIM:
        raise BadQuery(f"{method.name} holds vectors of at most {NATIVE_MAX_DIM} dimensions; these have {dim}.")
    if method.name == "bbq_hnsw" and dim < BBQ_MIN_DIM:
        raise BadQuery(f"bbq_hnsw needs vectors of at least {BBQ_MIN_DIM} dimensions; these have {dim}.")

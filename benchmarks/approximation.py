"""What each approximate method loses and saves on the vectors of an index, beside what the simulation predicts.

    python benchmarks/approximation.py INDEX SERVER -o FILE.json --about TEXT [--methods SPEC...] [--queries 200]

SERVER is http(s)://HOST:9200/NAME, with Elastiknn for its methods. Each method gets an index of its own, of one
segment, which is deleted afterwards. Every method is timed against exact answers of the same run: trust the ratios.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from imgsearch_kit import Gallery, VectorIndex
from imgsearch_kit.approximation.lsh import METHODS, recall_at
from imgsearch_kit.approximation.over_index import Measured, RecallReport
from imgsearch_kit.approximation.tuning import Sample
from imgsearch_kit.index.elastic.methods import parse_method
from imgsearch_kit.indexing.copy import temporary_copy

K, SEED = 10, 1
ORIGINAL = "l2-lsh:L=60,k=3,w=2"  # the settings of the system this grows out of
SPECS = (ORIGINAL, "l2-lsh:L=100,k=6,w=2", "cosine-lsh:L=99,k=1", "cosine-lsh:L=100,k=6")
PERMUTATIONS = (32, 64, 128, 256, 512, 1024)
GRAPHS = ("hnsw", "int8_hnsw", "bbq_hnsw")


def default_methods(dim: int) -> list[str]:
    return [*SPECS, *(f"permutation-lsh:k={k}" for k in PERMUTATIONS if k < dim), *GRAPHS]


def predicted(drawn: Sample, spec: str, rows: tuple[Measured, ...]) -> Iterator[Measured]:
    """The rows with the recall that the simulation expects of the same queries."""
    method = parse_method(spec, drawn.vectors.shape[1])
    places = {}
    for row in rows:
        if row.setting is None or method.name not in METHODS:
            yield row
            continue
        probes = row.setting.probes or 0
        if probes not in places:
            places[probes], _ = drawn.places(method.name, method.parameters, probes)
        yield dataclasses.replace(row, predicted=recall_at(places[probes], row.setting.candidates or 0))


def measured(index: VectorIndex, server: str, spec: str, drawn: Sample, queries: int) -> RecallReport:
    with temporary_copy(index, server, spec) as copy:
        report = Gallery(copy).recall(k=K, queries=queries, merge=True, seed=SEED)
    return dataclasses.replace(report, rows=tuple(predicted(drawn, spec, report.rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index")
    parser.add_argument("server")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--about", default="", help="what the vectors are")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--methods", nargs="+", metavar="SPEC")
    args = parser.parse_args()
    with Gallery.open(args.index) as gallery:
        drawn = Sample.of(gallery.index, K, args.queries, len(gallery), SEED)
        document = {"about": args.about, "date": date.today().isoformat(), "methods": {}}
        for spec in args.methods or default_methods(gallery.passport.dim):
            report = measured(gallery.index, args.server, spec, drawn, args.queries)
            print(spec, *report.lines(), "", sep="\n", flush=True)
            plain = report.to_json()
            document["methods"][spec] = plain.pop("rows")
            document |= plain | {"passport": gallery.passport.published()}
            args.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()

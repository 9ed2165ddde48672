"""What int8 costs in quality: neighbours and precision of int8 vectors against float vectors of the same pictures.

The folder is indexed with both forms of each extractor (vectors stay in ``--work``, one local index each), and each
picture is a query against all others. ``overlap`` is the share of the ten nearest pictures that both have; differences
are paired by query, with 95 % intervals.

    python benchmarks/int8.py FOLDER [--work FOLDER] [--only EXTRACTOR...] [--exclude-label LABEL] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import onnxruntime

from imgsearch_kit import Gallery
from imgsearch_kit.extractors.fidelity import fidelity

RESULTS = Path(__file__).parent / "results" / "int8.json"
EXTRACTORS = ("vgg16-rmac", "vgg16-rmac-ms")
MEASURES = ("P@4", "mAP")


def compared(folder: Path, work: Path, name: str, excluded: list[str]) -> dict[str, Any]:
    """The figures of one extractor."""
    forms = [
        Gallery.from_folder(folder, f"local:{work / each}.db", each, progress=True) for each in (name, f"{name}@int8")
    ]
    labels = {record.id: record.label for record in forms[0].records()}
    ids = [name for name, label in labels.items() if label not in excluded]
    vectors = [form.vectors(ids) for form in forms]
    near = fidelity(vectors[0], vectors[1], [labels[each] for each in ids])
    exact, quantised = (form.evaluate(exclude_labels=excluded) for form in forms)
    difference = quantised.against(exact)["micro"]
    means = [each.to_json()["micro"] for each in (exact, quantised)]
    for form in forms:
        form.close()
    return {
        "extractor": name,
        "pictures": near.pictures,
        "overlap": round(near.overlap, 4),
        "least_cosine": round(near.least, 4),
        "mean_cosine": round(near.mean, 5),
        **{measure: {"float": means[0][measure], "int8": means[1][measure]} for measure in MEASURES},
        "difference": {measure: difference[measure] for measure in MEASURES},
        "passports": [each.to_json()["passport"] for each in (exact, quantised)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("artifacts/caltech101"))
    parser.add_argument("--only", nargs="+", metavar="EXTRACTOR", default=list(EXTRACTORS))
    parser.add_argument("--exclude-label", nargs="*", default=["BACKGROUND_Google"])
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    wish.work.mkdir(parents=True, exist_ok=True)
    rows = [compared(wish.folder, wish.work, name, wish.exclude_label) for name in wish.only]
    for row in rows:
        print(row["extractor"], row["overlap"], row["least_cosine"], row["P@4"], row["mAP"], row["difference"])
    document = {"folder": wish.folder.name, "rows": rows}
    document["machine"] = {"python": platform.python_version(), "onnxruntime": onnxruntime.__version__}
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

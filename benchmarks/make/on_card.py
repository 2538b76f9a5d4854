"""Put SRCC and PLCC of kept answers on the card of the model that gave them.

    python benchmarks/make/on_card.py "BIQ2021 official test" runs/bench/biq2021/panel.csv [...]

The files are what ``iqassay bench run`` kept; the model is the shipped one of that name, and must be the same file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from iqassay.bench.protocol import identity
from iqassay.bench.results import read_results
from iqassay.scoring.model_file import find_model, read_card
from iqassay.statistics.correlation import plcc, srcc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="the name of the set, as the card shall say it")
    parser.add_argument("files", type=Path, nargs="+", metavar="RESULTS.csv")
    args = parser.parse_args()
    for file in args.files:
        found = read_results(file)
        path = find_model(found.model)
        if identity(read_card(path))["sha256"] != found.about["sha256"]:
            parser.error(f"{file}: holds answers of another {found.model} than {path}")
        score, mos = found.column("score"), found.column("mos")
        row = {
            "set": args.set,
            "images": len(mos),
            "srcc": round(srcc(score, mos), 4),
            "plcc": round(plcc(score, mos), 4),
        }
        card = path.with_suffix(".json")
        data = json.loads(card.read_text(encoding="utf-8"))
        data["accuracy"] = [other for other in data["accuracy"] if other["set"] != args.set] + [row]
        card.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        print(f"{card.name}: {row}")


if __name__ == "__main__":
    main()

"""Whether the scripts of docs/scaling.md do what `iqassay score` does: each is run as it stands there, on few pictures.

    python benchmarks/checks/scaling_scripts.py examples/ --only on_dask with_loader

A script whose package is not installed is said and left out. Exit status: 0 where all that ran gave every picture the
score of `iqassay score`, and the broken one an error.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from iqassay.models.opening import open_scorer
from iqassay.pictures.formats import is_picture
from iqassay.pictures.image import ImageError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "on_ray": "ray",
    "on_spark": "pyspark",
    "on_dask": "dask",
    "with_loader": "torch",
    "with_datasets": "datasets",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with pictures")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--only", nargs="+", default=list(PACKAGES), choices=list(PACKAGES))
    args = parser.parse_args()
    found = [path for path in sorted(args.folder.iterdir()) if is_picture(path.name)][: args.pictures]
    if not found:
        raise SystemExit(f"got no pictures in {args.folder}, want some")
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    scripts = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", text, re.DOTALL))
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        for path in found:
            shutil.copy(path, photos)
        (photos / "zz_broken.jpg").write_bytes(b"no picture")
        wanted = scores(photos)
        for name, script in scripts.items():
            (Path(scratch) / f"{name}.py").write_text(script)
        for name in args.only:
            if importlib.util.find_spec(PACKAGES[name]) is None:
                print(f"{name}: not run, {PACKAGES[name]} is not installed", flush=True)
                continue
            out = Path(scratch) / f"{name}.out"
            environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "HF_HOME": f"{scratch}/hub"}
            command = [sys.executable, f"{name}.py", str(photos), str(out)]
            done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True)
            if done.returncode:
                print(f"{name}: failed: {done.stderr.strip()[-2000:]}", flush=True)
                wrong += 1
                continue
            got = {Path(row["path"]).name: row for row in rows_of(out)}
            same = got.keys() == wanted.keys() and all(agrees(got[key], score) for key, score in wanted.items())
            print(f"{name}: {'as iqassay score' if same else f'got {got}, want {wanted}'}", flush=True)
            wrong += not same
    return int(wrong > 0)


def scores(photos: Path) -> dict[str, float]:
    """The score of each picture, NaN for one that cannot be read."""
    scorer, found = open_scorer("mfen", 1), {}
    for path in photos.iterdir():
        try:
            found[path.name] = scorer.score(path).score
        except ImageError:
            found[path.name] = math.nan
    return found


def rows_of(out: Path) -> list[dict[str, Any]]:
    files = [out] if out.is_file() else [path for path in out.iterdir() if path.suffix in (".parquet", ".jsonl")]
    rows: list[dict[str, Any]] = []
    for file in files:
        if file.read_bytes()[:4] == b"PAR1":
            from pyarrow import parquet

            rows += parquet.read_table(file).to_pylist()
        else:
            rows += [json.loads(line) for line in file.read_text().splitlines()]
    return rows


def agrees(row: dict[str, Any], score: float) -> bool:
    got = math.nan if row["score"] is None else row["score"]
    return bool(row["error"]) if math.isnan(score) else abs(got - score) < 0.01 and not row["error"]


if __name__ == "__main__":
    sys.exit(main())

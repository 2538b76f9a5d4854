"""Pictures and results in buckets, on a server of this machine that answers as S3 does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iqassay.cluster import places, run
from iqassay.cluster.question import ask
from iqassay.cluster.sources import find_source
from iqassay.cluster.worker import Worker
from iqassay.folders import parquet
from iqassay.models.opening import open_scorer
from iqassay.support.errors import UsageError

pytestmark = pytest.mark.slow

fs = pytest.importorskip("pyarrow.fs")
moto_server = pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    places._opened.cache_clear()
    yield boto3.client("s3")
    places._opened.cache_clear()
    server.stop()


def test_from_a_bucket_into_a_bucket(s3: Any, noisy: Path, tiny_model: Path) -> None:
    s3.create_bucket(Bucket="shop")
    for name in ("a.png", "odd name #1%.png", "deep/b.png"):
        s3.put_object(Bucket="shop", Key=f"photos/{name}", Body=noisy.read_bytes())
    s3.put_object(Bucket="shop", Key="photos/z.png", Body=b"no picture")
    with pytest.raises(UsageError, match="s3://shop/none: no such file or folder"):
        find_source("s3://shop/none")
    assert find_source("s3://shop/photos").pictures == 3
    source = find_source("s3://shop/photos/", size=3, recursive=True)
    scorer = open_scorer(str(tiny_model), 1)
    question = ask([scorer], [str(tiny_model)], 10**6)
    out = "s3://shop/scores"
    assert run.found_in(out) is None
    about = run.about(source, question, [scorer])
    run.begin(out, about, None)
    assert run.found_in(out) == about
    run.begin(out, about, run.found_in(out))
    worker = Worker(question, out)
    assert worker.score(source.parts[1]) == 1
    todo = run.still_to_do(out, source.parts)
    assert [part.number for part in todo] == [0]
    with pytest.raises(OSError, match="1 part of 2 cannot be seen in s3://shop/scores"):
        run.totals(out, source)
    assert worker.score(todo[0]) == 3
    assert run.totals(out, source) == (4, 1)
    run.clear(out)
    keys = sorted(item["Key"] for item in s3.list_objects_v2(Bucket="shop", Prefix="scores/")["Contents"])
    assert [key for key in keys if not key.endswith("/")] == [
        *("scores/_run.json", "scores/part-000000.parquet", "scores/part-000001.parquet")
    ]
    records = []
    for part in source.parts:
        system, path = places.at(f"{out}/{part.file}")
        with system.open_input_file(path) as file:
            records += list(parquet.read(file))
    score = scorer.score(str(noisy)).record("")["score"]
    assert {record["path"]: record.get("score") for record in records} == {
        "s3://shop/photos/a.png": score,
        "s3://shop/photos/odd name #1%.png": score,
        "s3://shop/photos/z.png": None,
        "s3://shop/photos/deep/b.png": score,
    }
    assert records[0]["bytes"] == noisy.stat().st_size

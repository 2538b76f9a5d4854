"""Schemathesis sends whatever the OpenAPI document allows, and what it does not: the answers must be as it says."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import photo_bytes, serving, tiny_shelf

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
hypothesis = pytest.importorskip("hypothesis")
positive_data_acceptance = pytest.importorskip("schemathesis.specs.openapi.checks").positive_data_acceptance
pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("IQASSAY_TEST_EXAMPLES", "25"))  # of each address
PHOTO = photo_bytes()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with tiny_shelf(tmp_path_factory.mktemp("shelf")), serving(max_bytes=1_000_000, upload_seconds=10) as client:
        yield client


@pytest.fixture(scope="module")
def schema(client: httpx.Client) -> Any:
    # Whatever bytes stand for a picture: now and then they are one.
    strategies = hypothesis.strategies
    some = strategies.one_of(strategies.just(PHOTO), strategies.just(PHOTO[:300]), strategies.binary())
    schemathesis.openapi.media_type("image/*", some)
    return schemathesis.openapi.from_url(f"{client.base_url}openapi.json")


ADDRESSES = [
    ("/v1/score", "POST"),
    ("/v1/compare", "POST"),
    ("/v1/explain", "POST"),
    ("/v1/models", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
]


@pytest.mark.parametrize(("path", "method"), ADDRESSES)
def test_answers_are_as_the_document_says(schema: Any, client: httpx.Client, path: str, method: str) -> None:
    seen = []

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=schema[path][method].as_strategy())
    def ask(case: Any) -> None:
        # What bytes are a picture, and which models there are, no document can say.
        seen.append(case.call_and_validate(excluded_checks=[positive_data_acceptance]).status_code)

    ask()
    print(path, Counter(seen))
    assert len(seen) > 0
    assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200, "the next one works"


def test_all_of_the_document_is_asked(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == set(ADDRESSES)

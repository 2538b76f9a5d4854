"""What the service answers, and that it is what the command line says."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from serving import photo_bytes, serving, tiny_shelf

import iqassay
from iqassay.cli import main
from iqassay.service.guard import Entrance

PHOTO, DARK = photo_bytes(), photo_bytes(light=0.4)
OTHER_SIZE = photo_bytes(60, 60)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tiny_shelf(tmp_path_factory.mktemp("shelf")) as folder:
        yield folder


@pytest.fixture(scope="module")
def client(shelf: Path) -> Iterator[httpx.Client]:
    with serving(max_files=3) as client:
        yield client


def said_by_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    main(list(arguments))
    return json.loads(capsys.readouterr().out)


def picture_in(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


# ---- the same as the command line -----------------------------------------------------------------------------------


def test_records_are_those_of_the_command_line(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in (("a.png", PHOTO), ("b.png", b"no picture"), ("c.png", DARK), ("d.png", OTHER_SIZE)):
        (tmp_path / name).write_bytes(content)

    files = [("file", (name, (tmp_path / name).read_bytes())) for name in ("a.png", "b.png", "c.png")]
    got = client.post("/v1/score", files=files)
    assert (got.status_code, got.json()) == (
        200,
        said_by_command(capsys, "score", "a.png", "b.png", "c.png", "--format", "json"),
    )

    with_reference = [("file", ("c.png", DARK)), ("file", ("d.png", OTHER_SIZE)), ("reference", ("a.png", PHOTO))]
    for align in ("fail", "crop", "resize"):
        got = client.post("/v1/score", files=with_reference, params={"align": align})
        wanted = said_by_command(
            capsys, "score", "c.png", "d.png", "--ref", "a.png", "--align", align, "--format", "json"
        )
        assert (got.status_code, got.json()) == (200, wanted)

    got = client.post("/v1/compare", files={"a": ("a.png", PHOTO), "b": ("c.png", DARK)})
    assert got.json() == said_by_command(capsys, "compare", "a.png", "c.png", "--format", "json")

    main(["explain", "c.png", "--ref", "a.png", "-o", "why"])
    got = client.post("/v1/explain", files={"file": ("c.png", DARK), "reference": ("a.png", PHOTO)})
    wanted = json.loads((tmp_path / "why/explain.json").read_text())
    assert got.json() == {key: value for key, value in wanted.items() if key != "estimate"}
    got = client.post("/v1/explain", files={"file": ("c.png", DARK), "reference": ("a.png", PHOTO)}, params={"page": 1})
    assert got.text == (tmp_path / "why/index.html").read_text()
    assert "default-src 'none'" in got.headers["content-security-policy"]

    capsys.readouterr()
    got = client.get("/v1/models").json()
    models = said_by_command(capsys, "models", "--format", "json")
    assert sorted(got["models"], key=lambda model: model["name"]) == models
    assert got["default"] == "panel" == got["models"][0]["name"]
    assert "ssim" in got["measures"]


def test_a_picture_as_the_whole_body(client: httpx.Client) -> None:
    for kind in ("image/png", "image/jpeg", "application/octet-stream", "Image/PNG; charset=binary"):
        got = client.post("/v1/score", content=PHOTO, headers={"content-type": kind}, params={"name": "x.png"})
        assert (got.status_code, got.json()[0]["path"]) == (200, "x.png")
        assert got.json()[0]["score"] == pytest.approx(iqassay.load("panel").score(PHOTO).score, abs=0.01)
    got = client.post("/v1/explain", content=PHOTO, headers={"content-type": "image/png"})
    assert (got.status_code, got.json()["picture"]) == (200, "picture")
    chunks = client.post("/v1/score", content=iter([PHOTO[:100], PHOTO[100:]]), headers={"content-type": "image/png"})
    assert chunks.json() == client.post("/v1/score", content=PHOTO, headers={"content-type": "image/png"}).json()


def test_models_and_measures_by_name(client: httpx.Client) -> None:
    files = {"file": ("a.png", DARK), "reference": ("b.png", PHOTO)}
    for name in ("yoto", "ssim"):
        (record,) = client.post("/v1/score", files=files, params={"model": name}).json()
        assert (record["model"], record["reference"]) == (name, "b.png")
    alone = {"file": ("a.png", DARK)}
    assert client.post("/v1/score", files=alone, params={"model": "mfen"}).json()[0]["model"] == "mfen"
    for name, sent, words in (
        ("mfen", files, "'mfen' takes no reference"),
        ("ssim", alone, "'ssim' scores against references alone"),
        ("yotto", alone, "model: got 'yotto', did you mean 'yoto'? want one of: panel, "),
        ("/etc/passwd", alone, "model: got '/etc/passwd'; want one of: panel, "),
        ("../weights/mfen.onnx", alone, "want one of: panel, "),
    ):
        got = client.post("/v1/score", files=sent, params={"model": name})
        assert got.status_code == 422
        assert words in got.json()["error"]


def test_members_of_the_panel_are_in_memory_once(shelf: Path) -> None:
    from iqassay.service.shelf import Shelf

    models = Shelf(max_pixels=1000)
    panel = models.scorer(None)
    assert models.scorer("yoto") is panel.member("yoto")  # type: ignore[attr-defined]
    assert models.restorer() is models.scorer("dri")


def test_one_served_model_alone(shelf: Path) -> None:
    with serving(chosen=(str(shelf / "mfen.onnx"),)) as client:
        assert client.get("/v1/models").json()["default"] == "mfen"
        assert client.post("/v1/score", files={"file": PHOTO}).json()[0]["model"] == "mfen"
        got = client.post("/v1/score", files={"file": PHOTO}, params={"model": "yoto"})
        assert (got.status_code, got.json()["error"]) == (422, "model: got 'yoto'; want one of: mfen")


# ---- pictures in answers --------------------------------------------------------------------------------------------


def test_pictures_in_answers(client: httpx.Client) -> None:
    (record,) = client.post("/v1/score", files={"file": PHOTO}, params={"map": 1, "thumbnail": 1}).json()
    assert (picture_in(record["map"]).format, picture_in(record["map"]).size) == ("PNG", (120, 90))
    assert picture_in(record["thumbnail"]).format == "JPEG"
    found = client.post("/v1/compare", files={"a": PHOTO, "b": DARK}, params={"images": 1}).json()["images"]
    assert {name: picture_in(uri).size for name, uri in found.items()} == {"a": (120, 90), "b": (120, 90)}
    assert np.asarray(picture_in(found["a"])).mean() > np.asarray(picture_in(found["b"])).mean()
    both = {"file": DARK, "reference": PHOTO}
    found = client.post("/v1/explain", files=both, params={"images": 1}).json()["images"]
    assert set(found) == {"picture", "estimate", "reference", "quality", "change", "against", "loss"}


# ---- what is wrong, in one sentence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "request_", "status", "words"),
    [
        ("/v1/score", {"files": {"file": b"%PDF-1.7"}}, 422, "got a PDF document, want a JPEG"),
        ("/v1/score", {"files": {"file": b""}}, 422, "got an empty file, want a JPEG"),
        ("/v1/score", {"files": {"file": PHOTO[:200]}}, 422, "got a PNG picture that cannot be decoded"),
        (
            "/v1/score",
            {"files": {"file": photo_bytes(500, 500)}},
            413,
            "got 500x500 = 250,000 pixels, want at most 200,000",
        ),
        ("/v1/score", {"files": {"other": PHOTO}}, 422, "got a field 'other', want one of: file, reference"),
        ("/v1/score", {"files": {"reference": PHOTO}}, 422, "got no picture in the field 'file', want one"),
        ("/v1/score", {"files": [("file", PHOTO)] * 4}, 413, "got more than 3 pictures in one request"),
        ("/v1/score", {"files": [("file", PHOTO)] * 9}, 413, "got more than 3 pictures in one request"),
        ("/v1/score", {"data": {"file": "text"}}, 415, "got a body of type 'application/x-www-form-urlencoded', want"),
        ("/v1/score", {"content": PHOTO}, 415, "got a body without a type, want multipart/form-data, or"),
        ("/v1/score", {"json": {}}, 415, "got a body of type 'application/json'"),
        (
            "/v1/score",
            {"files": {"file": PHOTO}, "params": {"map": "x"}},
            422,
            "map: got 'x'; input should be a valid boolean",
        ),
        (
            "/v1/score",
            {"files": {"file": PHOTO}, "params": {"align": "x"}},
            422,
            "align: got 'x'; input should be 'fail'",
        ),
        (
            "/v1/score",
            {"files": {"file": PHOTO, "reference": b"?"}},
            422,
            "reference: got a file of no known picture type",
        ),
        (
            "/v1/score",
            {"files": {"file": PHOTO, "reference": OTHER_SIZE}},
            422,
            "got a picture of 120x90 pixels and a reference of 60x60",
        ),
        ("/v1/compare", {"files": {"a": PHOTO, "b": b"?"}}, 422, "b: got a file of no known picture type"),
        ("/v1/compare", {"files": {"a": PHOTO}}, 422, "got no picture in the field 'b', want one"),
        (
            "/v1/compare",
            {"files": [("a", PHOTO), ("a", PHOTO), ("b", PHOTO)]},
            422,
            "got 2 pictures in the field 'a', want one",
        ),
        (
            "/v1/compare",
            {"content": PHOTO, "headers": {"content-type": "image/png"}},
            415,
            "got a body of type 'image/png', want multipart",
        ),
        ("/v1/explain", {"files": [("file", PHOTO)] * 2}, 422, "got 2 pictures in the field 'file', want one"),
        ("/v1/scores", {"content": b""}, 404, "there is nothing at this address"),
        ("/healthz", {"content": b""}, 405, "got POST, want GET"),
    ],
)
def test_one_sentence(client: httpx.Client, path: str, request_: dict, status: int, words: str) -> None:
    got = client.post(path, **request_)
    assert got.status_code == status, got.text
    assert list(got.json()) == ["error"]
    assert got.json()["error"].startswith(words)
    assert "\n" not in got.json()["error"]
    assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200, "the next one works"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary at all"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Dispo"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
        ),
        ("multipart/form-data; boundary=x", b""),
    ],
)
def test_a_broken_form(client: httpx.Client, kind: str, body: bytes) -> None:
    got = client.post("/v1/score", content=body, headers={"content-type": kind})
    assert got.status_code in (400, 422)
    assert list(got.json()) == ["error"]
    assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200


def test_our_own_fault_tells_nothing_and_the_next_request_works(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from iqassay.service import answers

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "/secret/place")

    with monkeypatch.context() as patch:
        patch.setattr(answers, "scored", fail)
        got = client.post("/v1/score", files={"file": PHOTO})
    assert (got.status_code, got.json()) == (500, {"error": "the service failed at this request; its log says why"})
    assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200


def test_names_come_back_as_they_were_sent(client: httpx.Client) -> None:
    for name in ("Öl & Wasser.png", "../../etc/passwd", "ordner/bild.png", "<b>.png"):
        assert client.post("/v1/score", files={"file": (name, PHOTO)}).json()[0]["path"] == name


# ---- the rest -------------------------------------------------------------------------------------------------------


def test_health_and_numbers(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"state": "well"}
    before = numbers(client)
    client.post("/v1/score", files=[("file", PHOTO), ("file", b"?")])
    client.post("/v1/score", files={"file": b"?"})
    after = numbers(client)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown['iqassay_pictures_total{outcome="scored"}'] == 1
    assert grown['iqassay_pictures_total{outcome="failed"}'] == 2
    assert grown['iqassay_requests_total{path="/v1/score",status="200"}'] == 1
    assert grown['iqassay_requests_total{path="/v1/score",status="422"}'] == 1
    assert grown['iqassay_score_count{model="panel"}'] == 1
    client.get("/nothing/here")
    assert 'iqassay_requests_total{path="other",status="404"}' in numbers(client)
    assert after["iqassay_requests_inside"] == after["iqassay_pictures_running"] == 0
    assert client.get("/readyz").json() == {"state": "ready"}


def numbers(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_the_token(shelf: Path) -> None:
    with serving(entrance=Entrance(token="right")) as client:
        for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
            assert client.get(path).status_code in (200, 503)
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic right"}, {"authorization": ""}):
            got = client.post("/v1/score", files={"file": PHOTO}, headers=headers)
            assert (got.status_code, got.headers["www-authenticate"]) == (401, "Bearer")
            assert got.json()["error"].startswith("got no token, or a wrong one")
            assert client.get("/metrics", headers=headers).status_code == 401
        good = {"authorization": "Bearer right"}
        assert client.post("/v1/score", files={"file": PHOTO}, headers=good).status_code == 200


def test_pages_of_others_get_nothing(shelf: Path) -> None:
    with serving(entrance=Entrance(hosts=frozenset({"127.0.0.1", "localhost"}))) as client:
        own = str(client.base_url).rstrip("/")
        for headers, status in (
            ({}, 200),
            ({"origin": own}, 200),
            ({"origin": "https://example.org"}, 403),
            ({"origin": "null"}, 403),
            ({"host": "example.org"}, 421),
            ({"host": "localhost:99"}, 200),
        ):
            got = client.post("/v1/score", files={"file": PHOTO}, headers=headers)
            assert got.status_code == status, headers
            assert "access-control-allow-origin" not in got.headers
            assert got.headers["x-content-type-options"] == "nosniff"


def test_the_document_describes_what_there_is(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/score",
        "/v1/compare",
        "/v1/explain",
        "/v1/models",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    body = document["paths"]["/v1/score"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/octet-stream", "image/*"}
    assert "HTTPValidationError" not in json.dumps(document)

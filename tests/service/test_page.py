"""The page in a browser: Debian's Chromium, without a window, driven by Playwright. It reaches this machine alone."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import photo_bytes, serving, tiny_shelf

from iqassay.service.guard import Entrance

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium, want `apt-get install chromium`"),
]
WAIT = 60_000  # milliseconds


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with tiny_shelf(tmp_path_factory.mktemp("shelf")), serving() as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, client: httpx.Client) -> Iterator[Any]:
    """The page, opened; whatever it complains of, or loads from elsewhere, fails the test."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(WAIT)
    wrong: list[str] = []
    own = str(client.base_url)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: said.type == "error" and "422" not in said.text and wrong.append(said.text))
    page.on("request", lambda asked: asked.url.startswith((own, "data:", "blob:")) or wrong.append(asked.url))
    page.goto(own)
    yield page
    page.close()
    assert wrong == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four pictures whose score is their light, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos") / "holiday"
    (folder / "inner").mkdir(parents=True)
    for name, light in (("b.png", 0.9), ("a.png", 0.3), ("inner/c.png", 0.6), ("d.png", 0.5)):
        (folder / name).write_bytes(photo_bytes(light=light, seed=3))
    (folder / "notes.txt").write_text("no picture")
    return {path.name: path for path in folder.rglob("*.*")}


def give(page: Any, *paths: Path) -> None:
    page.set_input_files("#files", [str(path) for path in paths])


def names(page: Any) -> list[str]:
    return [str(text) for text in page.locator(".picture .name").all_text_contents()]


def scores(page: Any) -> list[float]:
    return [float(text.split()[0]) for text in page.locator(".picture .score").all_inner_texts()]


def scored(page: Any, count: int) -> None:
    page.locator(".picture[data-state=scored]").nth(count - 1).wait_for()


def test_pictures_are_scored_sorted_and_saved(page: Any, client: httpx.Client, photos: dict[str, Path]) -> None:
    give(page, photos["b.png"], photos["a.png"], photos["notes.txt"], photos["d.png"])
    scored(page, 3)
    page.locator(".picture[data-state=failed]").wait_for()
    assert names(page) == ["b.png", "a.png", "notes.txt", "d.png"]
    assert "got a file of no known picture type" in page.locator("[data-state=failed] .wrong").inner_text()
    assert "4 pictures" in page.locator("#status").inner_text()
    assert "1 could not be scored" in page.locator("#status").inner_text()
    for order, wanted in (
        ("worst", "a d b notes"),
        ("best", "b d a notes"),
        ("name", "a b d notes"),
        ("came", "b a notes d"),
    ):
        page.select_option("#sort", order)
        assert [name.partition(".")[0] for name in names(page)] == wanted.split()

    with page.expect_download() as waiting:
        page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    record = client.post("/v1/score", files={"file": ("b.png", photos["b.png"].read_bytes())}).json()[0]
    assert float(rows[0]["score"]) == record["score"]
    assert {name: float(rows[0][f"raw_{name}"]) for name in record["raw"]} == record["raw"]
    assert (int(rows[0]["width"]), int(rows[0]["height"])) == (record["width"], record["height"])
    assert [row["path"] for row in rows] == ["b.png", "a.png", "notes.txt", "d.png"]
    assert rows[2]["error"].startswith("got a file of no known picture type")

    page.click("#clear")
    assert names(page) == []
    assert page.locator("#work").is_hidden()


def test_a_folder_brings_its_pictures_and_those_below(page: Any, photos: dict[str, Path]) -> None:
    page.set_input_files("#folder", str(photos["a.png"].parent))
    scored(page, 4)
    assert names(page) == ["holiday/a.png", "holiday/b.png", "holiday/d.png", "holiday/inner/c.png"]


def test_what_is_dropped_is_scored(page: Any, photos: dict[str, Path]) -> None:
    files = [{"name": name, "bytes": list(photos[name].read_bytes())} for name in ("a.png", "d.png")]
    page.evaluate(
        """(files) => {
          const transfer = new DataTransfer();
          for (const { name, bytes } of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
          for (const kind of ["dragover", "drop"]) {
            const about = { dataTransfer: transfer, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new DragEvent(kind, about));
          }
        }""",
        files,
    )
    scored(page, 2)
    assert names(page) == ["a.png", "d.png"]


def test_one_is_opened_and_scored_against_its_original(page: Any, photos: dict[str, Path]) -> None:
    give(page, photos["a.png"], photos["b.png"])
    scored(page, 2)
    page.locator(".picture .open").first.click()
    page.locator("#one .stage").wait_for()
    said = page.locator("#one").inner_text()
    for words in (
        "a.png",
        "of 100",
        "90 % interval",
        "What is wrong",
        "Where quality is lost",
        "Restored estimate",
        "120 × 90 pixels",
    ):
        assert words in said
    assert page.locator("#one .side.right").get_attribute("data-name") == "quality"
    assert page.locator("#one .heat").is_visible()
    page.get_by_label("Restored estimate").check()
    assert page.locator("#one .side.right").get_attribute("data-name") == "estimate"
    assert page.locator("#one .heat").is_hidden()
    page.locator("#one input[type=range]").focus()
    before = page.locator("#one .wipe").evaluate("wipe => wipe.style.getPropertyValue('--at')")
    page.keyboard.press("ArrowRight")
    assert page.locator("#one .wipe").evaluate("wipe => wipe.style.getPropertyValue('--at')") != before

    page.set_input_files("#one .drops input", str(photos["b.png"]))
    page.locator("#one .side[data-name=reference]").wait_for(state="attached")
    assert page.locator("#one .facts .card").first.inner_text().startswith("Against the original")
    assert page.locator("#one .side.right").get_attribute("data-name") == "reference"
    with page.expect_download() as waiting:
        page.get_by_text("Save as a page").click()
    assert waiting.value.suggested_filename == "a.png.html"
    assert "Against its reference" in Path(waiting.value.path()).read_text()
    page.get_by_text("Take away").click()
    page.locator("#one .side[data-name=quality].right").wait_for()
    page.keyboard.press("PageDown")
    page.locator("#onename", has_text="b.png").wait_for()
    page.keyboard.press("Escape")
    assert not page.locator("#one").evaluate("dialog => dialog.open")


def test_two_are_compared(page: Any, photos: dict[str, Path]) -> None:
    give(page, photos["a.png"], photos["b.png"], photos["d.png"])
    scored(page, 3)
    assert page.locator("#compare").is_disabled()
    for at in (2, 0, 1):  # the third takes the place of the first
        page.locator(".tick input").nth(at).check()
    assert [box.is_checked() for box in page.locator(".tick input").all()] == [True, True, False]
    page.click("#compare")
    page.locator("#two .stage").wait_for()
    said = page.locator("#two").inner_text()
    assert "B looks better, by" in said
    assert "A: a.png" in said
    assert page.locator("#two .side.left").get_attribute("data-name") == "a"
    page.set_input_files("#two .drops input", str(photos["b.png"]))
    page.locator("#two .side[data-name=reference]").wait_for(state="attached")
    assert "Against b.png" in page.locator("#two").inner_text()


def test_a_dialog_that_says_late_that_it_was_closed_does_not_stop_the_next(page: Any, photos: dict[str, Path]) -> None:
    give(page, photos["a.png"], photos["b.png"])
    scored(page, 2)
    for number in range(2):
        page.locator(".picture .open").nth(number).focus()
        page.keyboard.press("x")
    closed = "() => { document.getElementById('compare').click(); one.dispatchEvent(new Event('close')); }"
    page.evaluate(closed)
    page.locator("#two .stage").wait_for()


def test_all_of_it_with_the_keyboard(page: Any, photos: dict[str, Path]) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.id") == "choose"
    give(page, photos["a.png"], photos["b.png"], photos["d.png"])
    scored(page, 3)
    focused = lambda: page.evaluate("() => document.activeElement.querySelector('.name')?.textContent")  # noqa: E731
    page.locator(".picture .open").first.focus()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    assert focused() == "b.png"
    page.keyboard.press("End")
    assert focused() == "d.png"
    page.keyboard.press("Enter")
    page.locator("#one .stage").wait_for()
    page.keyboard.press("Escape")
    assert focused() == "d.png"
    page.locator("#compare").focus()
    page.keyboard.press("Enter")
    page.locator("#two .stage").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1400, "dark")])
def test_nothing_sticks_out(
    browser: Any, client: httpx.Client, photos: dict[str, Path], width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 740}, color_scheme=scheme)
    page.set_default_timeout(WAIT)
    page.goto(str(client.base_url))
    wide = "element => element.scrollWidth - element.clientWidth"
    assert page.locator("html").evaluate(wide) <= 0
    long = photos["a.png"].with_name("a-very-long-name-without-any-place-to-break-" * 4 + ".png")
    long.write_bytes(photos["a.png"].read_bytes())
    give(page, long, photos["b.png"], photos["notes.txt"])
    scored(page, 2)
    assert page.locator("html").evaluate(wide) <= 0
    page.locator(".picture .open").first.click()
    page.locator("#one .stage").wait_for()
    assert page.locator("#one").evaluate(wide) <= 0
    paper = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert paper == ("rgb(22, 22, 20)" if scheme == "dark" else "rgb(251, 250, 248)")
    page.close()
    long.unlink()


def test_another_model_scores_all_anew(page: Any, photos: dict[str, Path]) -> None:
    give(page, photos["a.png"], photos["b.png"])
    scored(page, 2)
    first = scores(page)
    page.select_option("#model", "mfen")
    page.locator(".picture[data-state=waiting], .picture[data-state=working]").first.wait_for(state="detached")
    scored(page, 2)
    assert scores(page) != first


def test_the_token_is_asked_for(browser: Any, client: httpx.Client, photos: dict[str, Path]) -> None:
    """One that is in the address after # is not asked for, and does not stay there."""
    with serving(entrance=Entrance(token="sesame")) as guarded:
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(str(guarded.base_url))
        give(page, photos["a.png"])
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        page.locator("#entry").wait_for(state="visible")
        page.locator("#token").fill("sesame")
        page.keyboard.press("Enter")
        scored(page, 1)
        page.close()
        page = browser.new_page()
        page.goto(f"{guarded.base_url}#token=sesame")
        assert page.url == str(guarded.base_url)
        give(page, photos["a.png"])
        scored(page, 1)
        page.close()


def test_a_busy_service_is_waited_for(browser: Any, photos: dict[str, Path]) -> None:
    with serving(workers=1, waiting=0) as busy:
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(str(busy.base_url))
        with busy.app.state.work.place():  # type: ignore[attr-defined]
            give(page, photos["a.png"], photos["b.png"])
            page.wait_for_timeout(500)
            assert page.locator(".picture[data-state=scored]").count() == 0
        scored(page, 2)
        page.close()


def test_the_reference_is_a_page_of_its_own(browser: Any, client: httpx.Client) -> None:
    page = browser.new_page()
    page.goto(f"{client.base_url}docs")
    said = page.locator("main").inner_text()
    for path in ("/v1/score", "/v1/compare", "/v1/explain", "/v1/models", "/healthz", "/readyz", "/metrics"):
        assert path in said
    assert "curl" in said
    page.close()

"""The pictures of the service's page in the documents: docs/img/serve.jpg, serve_one.jpg and serve_phone.jpg.

    python benchmarks/make/serving_pictures.py [--chromium /usr/bin/chromium]

Starts `iqassay serve`, gives its page the example photos in a browser without a window, and looks at it.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "docs/img"
PHOTOS = sorted(str(path) for path in (ROOT / "examples").glob("*.jpg"))
PATIENCE = 120_000  # milliseconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    args = parser.parse_args()
    command = [sys.executable, "-m", "iqassay", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, sync_playwright() as driver:
        assert process.stdout
        address = process.stdout.readline().strip()
        browser = driver.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        try:
            wide = browser.new_page(viewport={"width": 1240, "height": 800})
            filled(wide, address)
            keep(wide, "serve")
            opened(wide, "chelsea-blurred.jpg", "Restored estimate")
            keep(wide, "serve_one")
            phone = browser.new_page(
                viewport={"width": 360, "height": 740}, color_scheme="dark", device_scale_factor=1.5
            )
            filled(phone, address)
            phone.evaluate("() => document.querySelector('.tools').scrollIntoView()")
            keep(phone, "serve_phone")
        finally:
            browser.close()
            process.terminate()
    return 0


def filled(page: Page, address: str) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.set_input_files("#files", PHOTOS)
    page.locator("[data-state=scored]").nth(len(PHOTOS) - 1).wait_for()
    page.select_option("#sort", "worst")


def opened(page: Page, name: str, shown: str) -> None:
    page.locator(".picture", has_text=name).locator(".open").click()
    page.get_by_label(shown).check()
    page.wait_for_timeout(300)


def keep(page: Page, name: str) -> None:
    """As a JPEG, since a picture of photos takes four times as much as a PNG."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.save(PLACE / f"{name}.jpg", quality=85, subsampling="4:4:4", optimize=True)


if __name__ == "__main__":
    sys.exit(main())

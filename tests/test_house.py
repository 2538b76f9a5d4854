"""The map of the house says what the linter holds."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/house.md").read_text(encoding="utf-8")


def floors() -> list[list[str]]:
    """The layers of the contract in pyproject.toml, the top one first, without the file that only starts the first."""
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition('name = "One way down"')[2]
    layers = re.findall(r'^  "(.+)",$', contract.partition("layers = [")[2].partition("]")[0], re.MULTILINE)
    found = [[room for room in re.split(r" [|:] ", layer) if room != "__main__"] for layer in layers]
    return [found[1] + found[0], *found[2:]]  # the doors are one floor to a visitor: cli.py stands beside torchmetrics


def test_the_page_tells_of_every_room_on_its_floor():
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", PAGE, re.MULTILINE)
    told: dict[int, list[str]] = {}
    for floor, rooms in rows:
        told.setdefault(int(floor), []).extend(name.rstrip("/") for name in re.findall(r"`(.+?)`", rooms))
    wanted = {len(floors()) - k: sorted(rooms) for k, rooms in enumerate(floors())}
    assert {floor: sorted(rooms) for floor, rooms in told.items()} == wanted


def test_the_drawing_has_every_room_in_that_order():
    drawn = re.findall(r'class="name"[^>]*>(\w+)<', (ROOT / "docs/img/house.svg").read_text(encoding="utf-8"))
    place = {room: k for k, rooms in enumerate(floors()) for room in rooms}
    assert sorted(drawn) == sorted(place)
    assert [place[room] for room in drawn] == sorted(place.values())


def test_every_file_that_the_page_names_is_there():
    rooms = "|".join(room for rooms in floors() for room in rooms)
    for path in re.findall(rf"`((?:{rooms})/\w+\.py)`", PAGE):
        assert (ROOT / "src/iqassay" / path).is_file(), path

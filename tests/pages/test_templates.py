"""Templates: whatever they are given stays text, in every one of them."""

from __future__ import annotations

import re

import pytest
from conftest import WellFormed
from jinja2 import UndefinedError

from iqassay.pages.templates import environment

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;{{ 7 * 7 }}{% raw %}\n\x1b\u202e\udcff"
SAID = "</script><img src=x onerror=alert(1)>\"'&amp;{{ 7 * 7 }}{% raw %}\\n\\x1b\\u202e\\udcff"
TEMPLATES = environment.list_templates(extensions=["html"])
INCLUDED = environment.list_templates(extensions=["css", "js"])


class Words(WellFormed):
    """All text, and all values of attributes."""

    void = frozenset({"br"})

    def __init__(self, html: str) -> None:
        self.found: list[str] = []
        super().__init__(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        self.found += [value for _, value in attrs if value]

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_there_is_a_template_for_every_page() -> None:
    assert {"pages/explanation_page.html", "pages/folder_report.html", "bench/report.html"} < set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_escapes(name: str) -> None:
    assert environment.get_template(name).environment.autoescape is True
    assert environment.loader is not None
    source = environment.loader.get_source(environment, name)[0]
    unescaped = re.findall(r"\{\{.*?\| *safe\b.*?\}\}|\{%.*?\bautoescape\b.*?%\}", source)
    assert unescaped == (["{{ data|safe }}"] if name in ("pages/folder_report.html", "service/page.html") else [])


@pytest.mark.parametrize(
    "template",
    [
        '<p title="{{ x }}">{{ x }}</p>',
        "{% macro say(x) %}<p title='{{ x }}'>{{ x }}</p>{% endmacro %}{{ say(x) }}",
        '{% set y %}<p title="{{ x }}">{{ x }}</p>{% endset %}{{ y }}',
        '<p title="{{ "%s"|format(x) }}">{{ [x]|join(", ") }}</p>',
        '<p title="{{ x ~ "" }}">{{ x|trim }}</p>',
    ],
)
def test_values_are_printable_text(template: str) -> None:
    assert Words(environment.from_string(template).render(x=HOSTILE)).found == [SAID, SAID]


def test_things_that_are_no_text_are_written_as_text() -> None:
    assert environment.from_string("{{ x }}").render(x=["<b>\n"]) == "[&#39;&lt;b&gt;\\n&#39;]"


def test_what_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment.from_string("{{ x }}").render()


@pytest.mark.parametrize("name", INCLUDED)
def test_style_sheets_and_scripts_hold_nothing_that_a_template_would_read(name: str) -> None:
    assert environment.loader is not None
    assert environment.get_template(name).render() == environment.loader.get_source(environment, name)[0]

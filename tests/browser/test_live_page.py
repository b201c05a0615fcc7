"""Page Live in a real browser, over a running demo."""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import PATIENCE_MS, STRANGE

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.timeout(300)
Visit = Callable[..., "Page"]
REFRESH_S = 5


def figure(page: "Page", name: str) -> "Locator":
    return page.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue")


def chart(page: "Page") -> "Locator":
    """The second one, drawn."""
    return page.get_by_test_id("stVegaLiteChart").nth(1).locator("svg, canvas").first


def posts(page: "Page") -> int:
    return int(figure(page, "Posts").inner_text().replace(",", ""))


def wait_for_more(page: "Page", before: int) -> int:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while posts(page) <= before and time.monotonic() < deadline:
        page.wait_for_timeout(500)
    return posts(page)


def chosen(page: "Page") -> list[str]:
    """What the segmented controls say."""
    pressed = page.locator("[data-testid=stButtonGroup] button[aria-checked=true]")
    return pressed.all_inner_texts()


def test_numbers_move_while_the_demo_runs(visit: Visit) -> None:
    page = visit()
    first = posts(page)
    second = wait_for_more(page, first)
    assert second > first
    assert wait_for_more(page, second) > second
    assert "Data to" in page.get_by_text("Data to").inner_text()
    assert page.get_by_text("1 worker").is_visible()


def test_a_paused_page_stands_still(visit: Visit) -> None:
    page = visit("/?refresh=pause")
    before = posts(page)
    page.wait_for_timeout((REFRESH_S + 2) * 1000)
    assert posts(page) == before


def test_filters_survive_a_reload_through_the_address(visit: Visit) -> None:
    page = visit()
    page.get_by_test_id("stSelectbox").click()
    page.get_by_role("option", name="picnic").click()
    page.get_by_role("radio", name="6h").click()
    page.get_by_role("radio", name="60s").click()
    page.wait_for_url(re.compile("refresh=60s"))
    for part in ("topic=picnic", "range=6h", "refresh=60s"):
        assert part in page.url
    page.reload()
    page.get_by_test_id("stMetric").nth(3).wait_for()
    assert page.get_by_role("combobox").input_value() == "picnic"
    assert chosen(page) == ["6h", "60s"]
    everything = visit("/?range=6h")
    assert 0 < posts(page) < posts(everything)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_browsers_theme(visit: Visit, scheme: str) -> None:
    page = visit(color_scheme=scheme)
    style = "getComputedStyle(document.querySelector('[data-testid=stApp]'))"
    background, text = page.evaluate(f"[{style}.backgroundColor, {style}.color]")
    dark, light = (background, text) if scheme == "dark" else (text, background)
    assert brightness(dark) < 60
    assert brightness(light) > 200


def brightness(color: str) -> float:
    """Mean of r, g, b in rgb(r, g, b)."""
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


def test_a_phone_shows_it_all_without_scrolling_sideways(visit: Visit) -> None:
    page = visit(viewport={"width": 390, "height": 844})
    chart(page).wait_for()
    main = page.get_by_test_id("stMain")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert main.evaluate("element => element.scrollWidth <= element.clientWidth")
    boxes = [metric.bounding_box() for metric in page.get_by_test_id("stMetric").all()]
    left = [round(box["x"]) for box in boxes if box]
    assert left == [left[0], left[1], left[0], left[1]], "the figures do not stand two by two"
    for box in [each.bounding_box() for each in page.get_by_test_id("stVegaLiteChart").all()]:
        assert box
        assert box["width"] > 300


def test_a_refresh_moves_nothing_on_the_page(visit: Visit) -> None:
    page = visit()
    chart(page).wait_for()
    page.evaluate(
        """() => {
            window.shift = 0;
            const add = entry => { window.shift += entry.value; };
            new PerformanceObserver(list => list.getEntries().forEach(add)).observe({type: "layout-shift"});
        }"""
    )
    before = posts(page)
    assert wait_for_more(page, before) > before
    assert page.evaluate("window.shift") < 0.05


def test_a_strangers_markup_is_text(visit: Visit) -> None:
    page = visit()
    page.get_by_text(STRANGE, exact=True).first.wait_for()
    main = page.get_by_test_id("stMain")
    assert main.locator("a").count() == 0
    sources = {image.get_attribute("src") or "" for image in main.locator("img").all()}
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_nothing_is_asked_of_another_machine(visit: Visit) -> None:
    """The fixture looks at every request; this visit uses what the page has."""
    page = visit("/?range=all")
    page.get_by_test_id("stMetric").first.get_by_test_id("stTooltipIcon").hover()
    chart(page).hover()
    page.get_by_test_id("stSelectbox").click()
    page.keyboard.press("Escape")
    page.mouse.wheel(0, 3000)
    page.wait_for_timeout(1000)

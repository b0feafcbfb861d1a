"""The page in a real browser: every picture shows, nothing is fetched, nothing is cut off."""

import shutil

import pytest
from made_up import made_up_study

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def tab():
    """A page of playwright in whatever Chromium is installed, since playwright's own may not be downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def test_the_page_in_a_browser(tab, tmp_path):
    pytest.importorskip("matplotlib")
    from stitchvlm.evaluation.report import write_report

    write_report([made_up_study(tmp_path)], tmp_path / "report.html")
    asked, said = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto((tmp_path / "report.html").as_uri())
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == [] and said == []
    widths = tab.eval_on_selector_all("img", "pictures => pictures.map(p => p.complete ? p.naturalWidth : 0)")
    assert len(widths) == 5 and all(width > 100 for width in widths)
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert tab.locator("table.ways tbody tr").count() == 7
    assert tab.evaluate(
        "document.querySelector('table.ways').offsetWidth <= document.querySelector('.wide').offsetWidth"
    )
    tab.set_viewport_size({"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

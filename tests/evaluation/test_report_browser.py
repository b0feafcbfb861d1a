"""The page in a real browser: every picture shows, nothing is fetched, nothing is cut off."""

import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import pytest
from made_up import made_up_study

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement, ways = document.querySelector("table.ways");
  const told = {
    pictures: [...document.images].map(p => p.complete ? p.naturalWidth : 0),
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(name => !name.startsWith("data:")),
    page: [root.scrollWidth, innerWidth],
    table: [ways.offsetWidth, ways.parentElement.offsetWidth],
    rows: ways.querySelectorAll("tbody tr").length,
    errors: window.said,
  };
  document.body.innerHTML = "<pre>TOLD" + encodeURIComponent(JSON.stringify(told)) + "TOLD</pre>";
});
</script>
"""
LISTENER = '<script>window.said = []; addEventListener("error", e => said.push(String(e.message)), true);</script>'


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)}")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page, with a script that looks at it once it has loaded and says what it saw."""
    pytest.importorskip("matplotlib")
    from stitchvlm.evaluation.report import write_report

    folder = tmp_path_factory.mktemp("page")
    write_report([made_up_study(folder)], folder / "report.html")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    watched = folder / "watched.html"
    watched.write_text(
        text.replace("<head>", f"<head>{LISTENER}").replace("</body>", f"{PROBE}</body>"), encoding="utf-8"
    )
    return watched


@pytest.mark.parametrize("size", [(1280, 900), (500, 800)])
def test_the_page_in_a_browser(browser, page, size, tmp_path):
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command += [f"--window-size={size[0]},{size[1]}", "--virtual-time-budget=10000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search("TOLD(.*)TOLD", done.stdout)
    assert found, done.stderr[-1000:]
    told = json.loads(unquote(found.group(1)))
    assert told["fetched"] == told["errors"] == []
    assert len(told["pictures"]) == 5 and all(width > 100 for width in told["pictures"])
    assert told["page"][0] <= told["page"][1] == size[0], "wide tables scroll on their own"
    assert told["rows"] == 7 and (size[0] < 1280 or told["table"][0] <= told["table"][1])

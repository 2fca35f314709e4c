"""The page at `/` in a real browser: the account, live.

It needs Debian's chromium. CI installs it and sets COMPASSO_BROWSER=1, so that it cannot skip.
"""

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "COMPASSO_BROWSER" not in os.environ,
    reason="there is no chromium here: apt-get install chromium",
)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "COMPASSO_BROWSER is set, but there is no chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser, account):
    """The page of an account; whatever it says to the console or asks elsewhere is kept."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    opened = context.new_page()
    opened.complaints, opened.asked = [], []
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("console", lambda m: m.type == "error" and opened.complaints.append(m.text))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(str(account.api.base_url))
    yield opened
    context.close()


def shows(page, selector, text):
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_contain_text(text, timeout=30_000)


def test_it_shows_counts_requests_and_the_budget_as_they_change(account, page):
    shows(page, "#count-contacts", "0")
    account.api.patch("/contacts/ana@x.es", json={"_name": "Ana"})
    account.api.get("/contacts/nobody@x.es")
    shows(page, "#count-contacts", "1")
    shows(page, "#budget", "2 of 100,000 requests used, the window ends in 60 s")
    rows = page.locator("#requests tbody tr")
    assert rows.nth(0).inner_text().split()[1:] == ["GET", "/contacts/nobody@x.es", "404"]
    assert rows.nth(1).inner_text().split()[1:] == ["PATCH", "/contacts/ana@x.es", "200"]


def test_it_shows_imports_and_exports_under_way_and_the_faults_that_wait(account, page):
    account.upload("contacts", "_email\n" + "".join(f"u{i}@x.es\n" for i in range(2000)))
    account.api.post(
        "/exports/", json={"exportType": "contacts", "delimiter": ",", "dateFormat": "ISO"}
    )
    account.api.post("/_sandbox/faults", json={"kind": "reset", "times": 3, "path": "/products"})
    shows(page, "#jobs tbody tr:nth-child(1)", "importcontactsinProgress2,000")
    shows(page, "#jobs tbody tr:nth-child(2)", "export")
    shows(page, "#fault-list", "reset × 3")
    account.pass_time(60)
    shows(page, "#count-contacts", "2,000")
    page.locator("#no-jobs").wait_for(state="visible")


def test_it_asks_nothing_of_others_and_has_no_errors(account, page):
    shows(page, "#count-contacts", "0")
    assert page.complaints == []
    assert all(url.startswith(str(account.api.base_url)) for url in page.asked)


def test_a_path_cannot_put_markup_into_it(account, page):
    account.api.get("/products/product-id/%3Cimg%20src=x%20onerror=alert(1)%3E")
    shows(page, "#requests tbody tr:nth-child(1)", "<img src=x onerror=alert(1)>")
    assert page.locator("#requests img").count() == 0


def test_it_says_when_the_sandbox_is_gone(account, page):
    shows(page, "#count-contacts", "0")
    page.route("**/_sandbox/status", lambda route: route.abort())
    page.locator("#lost").wait_for(state="visible", timeout=30_000)

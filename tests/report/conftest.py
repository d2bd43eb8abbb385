"""A browser, and the pages that it opens. The browser is the Chromium of the machine; nothing is downloaded."""

import os
import shutil
from contextlib import contextmanager

import pytest

from helpers.made_study import made_study, write_made
from helpers.pages import ABSENT, grown, staged
from iterhead.cli.report_command import write_study_pages
from iterhead.model.handmade import handmade
from iterhead.report.run_page import run_report, write_report
from iterhead.studies.verification import verify, write_verification
from iterhead.tasks import task

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
READY = "html[data-ready]"
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; without one the test is skipped, or fails where ITERHEAD_BROWSER=required."""
    place = next(filter(None, map(shutil.which, NAMES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        place = None
    if place is None:
        (pytest.fail if os.environ.get("ITERHEAD_BROWSER") == "required" else pytest.skip)(ABSENT)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=place, args=list(FLAGS))
        yield chromium
        chromium.close()


@contextmanager
def opening(browser):
    """A function that opens a file in a new context; a console message or a request to the network fails the test."""
    contexts, complaints = [], []

    def opened(path, **options):
        context = browser.new_context(
            **{"reduced_motion": "reduce", "viewport": {"width": 1200, "height": 900}} | options
        )
        contexts.append(context)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective))"
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: complaints.append(asked.url) if asked.url != path.as_uri() else None)
        page.goto(path.as_uri())
        page.locator(READY).wait_for(state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def open_page(browser):
    """A function that opens a file."""
    with opening(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Parity up to length 6: noise, then step by step the network set by hand; its claims are checked."""
    networks = [grown(handmade(task("parity"), 6), share) for share in (0, 0.25, 0.4, 0.6, 1)]
    data = {"max_length": 6, "train_per_length": 32, "test_per_length": 32}
    made = staged(tmp_path_factory.mktemp("runs") / "parity-by-hand", networks, "parity", **data)
    write_verification(made, verify(made, 16))
    write_report(made, "iterhead run --task parity")
    return made


@pytest.fixture
def page(open_page, run):
    """The page of that run."""
    return open_page(run.folder.path / "report.html")


@pytest.fixture(scope="module")
def still_page(browser, run):
    """The same page, opened once for all tests of a file that leave it as it is."""
    with opening(browser) as opened:
        yield opened(run.folder.path / "report.html")


@pytest.fixture
def made_page(tmp_path):
    """Write the page of a run into the test's own folder."""

    def made(run):
        path = tmp_path / f"{run.name}.html"
        path.write_bytes(run_report(run))
        return path

    return made


@pytest.fixture(scope="session")
def study_pages_made(tmp_path_factory):
    """The folder of runs with the pages of two studies made by hand, of which one has no claims, and of all."""
    out = tmp_path_factory.mktemp("studies")
    studies = [made_study(), made_study("silent", title="Without claims", claims=())]
    for study in studies:
        write_made(study, out)
    write_study_pages("all", [*studies, made_study("absent")], out)
    return out


@pytest.fixture
def study_page(open_page, study_pages_made):
    """The page of the first of them."""
    return open_page(study_pages_made / "study/made-smoke/report.html")

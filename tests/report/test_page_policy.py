"""The Content-Security-Policy of a page in a browser, should a text ever become markup all the same."""

import pytest


@pytest.fixture
def stopped(browser, run, tmp_path):
    """Open the page of the run with markup that slipped in, and return what the policy has stopped so far."""
    context = browser.new_context()
    listen = "addEventListener('securitypolicyviolation', (e) => (window.stopped ??= []).push(e.effectiveDirective))"
    context.add_init_script(listen)
    page = context.new_page()

    def visited(markup=""):
        path = tmp_path / "slipped.html"
        path.write_bytes((run.folder.path / "report.html").read_bytes().replace(b"<h1>", markup.encode() + b"<h1>", 1))
        page.goto(path.as_uri())
        page.locator("html[data-ready]").wait_for(state="attached")
        return page

    yield visited
    assert page.evaluate("window.taken") is None
    context.close()


SLIPPED = {
    "<script>taken = 1</script>": "script-src-elem",
    "<svg onload='taken = 1'></svg>": "script-src-attr",
    "<style>h1 { color: red }</style>": "style-src-elem",
    "<p style='color: red'>x</p>": "style-src-attr",
    "<img src='https://localhost/x.png'>": "img-src",
    "<iframe src='https://localhost/'></iframe>": "frame-src",
    "<video src='https://localhost/'></video>": "media-src",
    "<base href='https://localhost/'>": "base-uri",
    "<form action='https://localhost/'><button class=slipped>x</button></form>": "form-action",
    "<a class=slipped href='javascript:taken = 1'>x</a>": "script-src-elem",
}
"""Markup, and the part of the policy that must stop it."""

TRIED = {
    "fetch('https://localhost/').catch(() => '')": "connect-src",
    "byId('main').insertAdjacentHTML('beforeend', '<b>x</b>')": "require-trusted-types-for",
}
"""The same for what the page's own script may try. Nothing would answer at these addresses."""


@pytest.mark.parametrize(("markup", "directive"), SLIPPED.items())
def test_should_markup_slip_through_the_policy_stops_it(markup, directive, stopped):
    page = stopped(markup)
    for trap in page.locator(".slipped").all():
        trap.click(no_wait_after=True)
    page.wait_for_function("window.stopped")
    assert page.evaluate("window.stopped") == [directive]


@pytest.mark.parametrize(("attempt", "directive"), TRIED.items())
def test_should_a_script_try_it_the_policy_stops_it(attempt, directive, stopped):
    page = stopped()
    assert page.evaluate("window.stopped") is None
    page.evaluate(f"() => {{ try {{ {attempt}; }} catch {{}} }}")
    page.wait_for_function("window.stopped")
    assert page.evaluate("window.stopped") == [directive]

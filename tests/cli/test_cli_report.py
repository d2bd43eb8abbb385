"""`iterhead report`, and the page at the end of `iterhead run`."""

import json
import webbrowser

import pytest

from iterhead.cli.report import tell_page
from iterhead.runs import load
from iterhead.runs.store import RunFolder


def test_it_writes_the_page_and_says_where(call, copied):
    page = copied / "report.html"
    before = page.read_bytes()
    said = call(f"report {copied.name}")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"runs/{copied.name}/report.html\n"
    assert page.read_bytes() == before, "the same run gives the same page"
    assert load(copied).folder.read("report.html") == before, "it has a checksum like every file of a run"


def test_json(call, copied):
    said = call(f"report {copied} --json")
    assert json.loads(said.out) == {"report": str(copied / "report.html")}


def test_open(call, copied, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert call(f"report {copied} --open").code == 0
    assert opened == [(copied / "report.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    said = call(f"report {copied} --open")
    assert said.code == 2
    assert said.err == f"iterhead: {copied}/report.html: no browser found to open it with\n"


BAD = {"report": "RUN", "report nothing": "nothing", "report --opne x": "--open"}


@pytest.mark.parametrize(("words", "part"), BAD.items())
def test_bad_input_is_one_line(call, words, part):
    said = call(words)
    assert said.code == 2
    assert part in said.line


def test_a_folder_in_use(call, copied):
    with RunFolder(copied).lock():
        said = call(f"report {copied}")
    assert said.code == 2
    assert "is working on this run" in said.line


def test_a_run_ends_with_its_page(call, tiny):
    said = call(f"run {tiny}")
    assert said.code == 0
    page = load("parity").folder.path / "report.html"
    assert said.out.rstrip().endswith(str(page))
    written = page.stat().st_mtime_ns
    again = call(f"run {tiny}")
    assert again.out.rstrip().endswith(str(page))
    assert page.stat().st_mtime_ns == written, "a page that is there is not made again"


def test_a_page_that_cannot_be_written_costs_no_run(copied, capsys):
    run = load(copied)
    with run.folder.lock():
        tell_page(run, anew=True, silent=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("No page was made: ")
    assert said.err.count("\n") == 1

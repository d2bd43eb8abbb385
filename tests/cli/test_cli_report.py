"""`iterhead report`, and the page at the end of `iterhead run`."""

import json
import webbrowser

import pytest

from helpers.made_study import made_study, write_made
from iterhead.cli.report_command import make_final_page
from iterhead.errors import UserError
from iterhead.report import study_page
from iterhead.runs.run import load
from iterhead.runs.storage import RunFolder
from iterhead.studies import registry


def test_page_of_a_run(call, copied):
    page = copied / "report.html"
    before = page.read_bytes()
    output = call(f"report {copied.name}")
    assert (output.code, output.err) == (0, "")
    assert output.out == f"runs/{copied.name}/report.html\n"
    assert page.read_bytes() == before, "the same run gives the same page"
    assert load(copied).folder.read("report.html") == before, "it has a checksum like every file of a run"


def test_json(call, copied):
    output = call(f"report {copied} --json")
    assert json.loads(output.out) == {"report": str(copied / "report.html")}


def test_open(call, copied, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert call(f"report {copied} --open").code == 0
    assert opened == [(copied / "report.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    output = call(f"report {copied} --open")
    assert output.code == 2
    assert output.err == f"iterhead: {copied}/report.html: no browser found to open it with\n"


BAD = {"report": "RUN", "report nothing": "nothing", "report --opne x": "--open"}


@pytest.mark.parametrize(("words", "part"), BAD.items())
def test_bad_input_gives_one_line(call, words, part):
    output = call(words)
    assert output.code == 2
    assert part in output.line


def test_folder_in_use(call, copied):
    with RunFolder(copied).lock():
        output = call(f"report {copied}")
    assert output.code == 2
    assert "is working on this run" in output.line


def test_existing_page_is_not_made_again(call, tiny, copied):
    page = copied / "report.html"
    written = page.stat().st_mtime_ns
    assert call(f"run {tiny}").out.rstrip().endswith(f"runs/{copied.name}/report.html")
    assert page.stat().st_mtime_ns == written


def test_page_that_cannot_be_written_does_not_fail_the_run(copied, capsys):
    run = load(copied)
    with run.folder.lock():
        make_final_page(run, is_new=True, silent=False)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("No page was made: ")
    assert output.err.count("\n") == 1


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """The folder of two studies, in place of all, of which the first has tables."""
    first, second = made_study("figure-7"), made_study("figure-8")
    monkeypatch.setattr(registry, "STUDIES", {"figure-7": lambda _scale: first, "figure-8": lambda _scale: second})
    write_made(first, tmp_path / "runs")
    return tmp_path / "runs/study"


def test_page_of_a_study(call, studies):
    output = call("report figure-7 --scale smoke")
    assert (output.code, output.err) == (0, "")
    assert output.out == "runs/study/figure-7-smoke/report.html\n"
    assert b"A study of <i>x</i><sub>t</sub> by hand" in (studies / "figure-7-smoke/report.html").read_bytes()


def test_page_of_all_studies(call, studies, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    output = call("report all --scale smoke --json --open")
    assert json.loads(output.out) == {"report": "runs/study/all-smoke/report.html"}
    assert opened == [(studies / "all-smoke/report.html").as_uri()]
    page = (studies / "all-smoke/report.html").read_text()
    assert 'href="../figure-7-smoke/report.html"' in page
    assert (studies / "figure-7-smoke/report.html").exists()
    assert not (studies / "figure-8-smoke").exists()


def test_name_of_a_study_takes_precedence_over_a_run(call, studies, copied):
    copied.rename(copied.with_name("figure-7-my-run"))
    assert call("report figure-7 --scale smoke").out == "runs/study/figure-7-smoke/report.html\n"
    assert call("report figure-7-my").out == "runs/figure-7-my-run/report.html\n"


NO_TABLES = (
    "no tables in runs/study{}: `iterhead study report {name} --scale smoke` makes them from finished runs, "
    "`iterhead study run {name} --scale smoke` trains what is missing"
)

NO_TABLES_ELSEWHERE = (
    NO_TABLES.format("", name="all").replace("runs/", "other/").replace("smoke`", "smoke --out other`")
)


@pytest.mark.usefixtures("studies")
@pytest.mark.parametrize(("words", "line"), [
    ("report figure-8 --scale smoke", "figure-8: " + NO_TABLES.format("/figure-8-smoke", name="figure-8")),
    ("report all --scale smoke --out other", "all: " + NO_TABLES_ELSEWHERE),
    ("report figure-7 --scale smok", "scale=smok: expected one of smoke, laptop, paper: did you mean 'smoke'?"),
    ("report figure-77", "figure-77: no such run, runs has none yet (iterhead run makes one; --out names another "
     "folder); or a study: did you mean 'figure-7'?"),
    ("report parity --scale smoke", "--scale smoke: expected with a study (figure-7, figure-8, all)"),
])  # fmt: skip
def test_bad_input_about_studies_gives_one_line(call, words, line):
    output = call(words)
    assert output.code == 2
    assert output.line == f"iterhead: {line}"


def test_damaged_table_gives_one_line(call, studies):
    (studies / "figure-7-smoke/tables/runs.parquet").write_bytes(b"?")
    output = call("report figure-7 --scale smoke")
    assert output.code == 2
    assert "runs.parquet is damaged, or of another version: expected a Parquet table" in output.line


def test_study_report_makes_the_pages(call, studies):
    output = call("study report figure-7 --redraw --scale smoke")
    assert output.code == 1, "a claim does not hold"
    assert output.out.endswith("in a browser: runs/study/figure-7-smoke/report.html\n")
    write_made(made_study("figure-8"), studies.parent)
    results = json.loads(call("study report all --redraw --scale smoke --json").out)
    assert results["report"] == "runs/study/all-smoke/report.html"
    assert (studies / "figure-8-smoke/report.html").exists()


BUG = "(this is a bug in iterhead: please report it)"
FAILURES = [
    (UserError("the disk refuses"), "the disk refuses"),
    (ValueError("two\nlines"), f"ValueError: two lines {BUG}"),
]


@pytest.mark.parametrize(("error", "reason"), FAILURES)
def test_page_that_fails_does_not_fail_the_study(call, studies, monkeypatch, error, reason):
    def fails(*_):
        raise error

    monkeypatch.setattr(study_page, "write_study_report", fails)
    output = call("study report figure-7 --redraw --scale smoke")
    assert output.code == 1
    assert "23 of 27 runs measured" in output.out
    assert "browser" not in output.out
    assert output.err == f"No page was made: {reason}\n"
    assert (studies / "figure-7-smoke/claims.json").exists()

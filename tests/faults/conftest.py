"""Gathers the counts of all tests, over pytest's worker processes, into one table and one file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.counts import Counts

HERE = Path(__file__).parent
PROPERTY = "fault counts"
FILE = "faults.json"
"""In pytest's base folder for temporary files."""


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Iterator[Counts]:
    """Where the test counts what it tries; it fails at its end if anything broke."""
    counted = Counts()
    yield counted
    numbers = [[fault, kind, number] for (fault, kind), number in counted.numbers.items()]
    # Reports carry the properties of a test from a worker process to the first one.
    request.node.user_properties.append((PROPERTY, {"numbers": numbers, "reasons": counted.reasons}))
    if not counted.is_clean:
        pytest.fail(f"\n{counted.table()}", pytrace=False)


class Gatherer:
    """A plugin that adds up what the reports carry, and shows it at the end."""

    def __init__(self) -> None:
        self.counts = Counts()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY and report.when == "teardown":
                self.counts.numbers.update({(fault, kind): number for fault, kind, number in value["numbers"]})
                self.counts.reasons += [(fault, reason) for fault, reason in value["reasons"]]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if not self.counts.numbers:
            return
        terminalreporter.section("faults")
        terminalreporter.write_line(self.counts.table())
        file = config._tmp_path_factory.getbasetemp() / FILE  # type: ignore[attr-defined]
        file.write_text(json.dumps({"faults": self.counts.rows(), "broke": self.counts.reasons}, indent=2) + "\n")
        terminalreporter.write_line(f"These numbers are also in {file}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Gatherer())


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Import these modules only for `-m faults`: they change this process, so that no test draws a picture."""
    return True if config.option.markexpr != "faults" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, before the tests with that mark are left out."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.faults)

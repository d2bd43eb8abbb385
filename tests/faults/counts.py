"""How often each fault was tried, and what broke: rows that the tests of all workers add to one table."""

from collections import Counter
from dataclasses import dataclass, field

from faults.forked import Output

KINDS = ("lost", "tracebacks", "hangs", "other")
"""What may go wrong. lost: something that was saved is gone or wrong; other: for example a wrong exit code."""

MOST_SHOWN = 20
"""Descriptions of what broke, for each fault."""


@dataclass
class Counts:
    """The faults that a test tried. The fixture `counts` gives one to a test, and fails the test if anything broke."""

    numbers: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: list[tuple[str, str]] = field(default_factory=list)

    def tried(self, fault: str, number: int = 1) -> None:
        """Count a fault as tried."""
        self.numbers[fault, "tried"] += number

    def broke(self, fault: str, kind: str, reason: str) -> None:
        """Count one thing that broke, of one of the `KINDS`, and say what it is and how it is done again."""
        assert kind in KINDS
        self.numbers[fault, kind] += 1
        if sum(fault == other for other, _ in self.reasons) < MOST_SHOWN:
            self.reasons.append((fault, f"{kind}: {reason}"))

    def judge(self, fault: str, output: Output, codes: tuple[int, ...], what: str) -> bool:
        """Count what is wrong with the end of a command, apart from what it lost; return whether all is well.

        Args:
            fault: the row of the table.
            output: of the command.
            codes: the exit codes that are right here; after 2 there must be one line on stderr.
            what: how it is done again.
        """
        if output.code is None:
            kind, reason = "hangs", "it did not end"
        elif output.has_traceback:
            kind, reason = "tracebacks", output.err.strip()[-2000:]
        elif output.code not in codes:
            kind, reason = "other", f"exit code {output.code}: {output.err.strip()[-300:]}"
        elif output.code == 2 and len(output.err.splitlines()) != 1:
            kind, reason = "other", f"expected one line: {output.err.strip()[:300]!r}"
        else:
            return True
        self.broke(fault, kind, f"{what}: {reason}")
        return False

    @property
    def is_clean(self) -> bool:
        """Whether nothing broke."""
        return not any(self.numbers[key] for key in self.numbers if key[1] != "tried")

    def rows(self) -> list[dict[str, str | int]]:
        """Return a row for each fault, by name."""
        faults = sorted({fault for fault, _ in self.numbers})
        return [{"fault": fault} | {kind: self.numbers[fault, kind] for kind in ("tried", *KINDS)} for fault in faults]

    def table(self) -> str:
        """Return the rows as text, with a sum, and then what broke."""
        rows = self.rows()
        total = {"fault": "in all"} | {kind: sum(int(row[kind]) for row in rows) for kind in ("tried", *KINDS)}
        width = max(len(str(row["fault"])) for row in [*rows, total])
        lines = [f"{'fault':{width}}" + "".join(f"{kind:>12}" for kind in ("tried", *KINDS))]
        for row in [*rows, total]:
            numbers = "".join(f"{row[kind]:>12,}" for kind in ("tried", *KINDS))
            lines.append(f"{row['fault']:{width}}{numbers}")
        return "\n".join([*lines, *(f"{fault}: {reason}" for fault, reason in self.reasons)])

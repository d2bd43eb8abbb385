"""One command, disturbed at one system call after another, and what is judged each time."""

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.counts import Counts
from faults.failing_calls import FOREVER, FailingCalls
from faults.forked import Output, call
from iterhead import atomic
from iterhead.errors import UserError
from iterhead.runs.storage import CONFIG, HOLDER, LOCK, RunFolder

Tree = Mapping[str, bytes]
"""The content of every file below a folder, by its path."""


@dataclass(frozen=True)
class Command:
    """A command that is to be disturbed.

    Attributes:
        words: that follow `iterhead`.
        before: the commands that come first, undisturbed.
        again: the command that does afterwards what was left undone; the same one unless given.
        is_begun: the disk was already full once, in the middle of the command.
        is_rounded: interrupted networks are trained by themselves later, with the same numbers up to rounding.
        every: every call fails in a command of its own, or only each second, third, ... one.
        errors: how many errors each of these calls fails with, in as many commands.
    """

    words: str
    before: tuple[str, ...] = ()
    again: str = ""
    is_begun: bool = False
    is_rounded: bool = False
    every: int = 1
    errors: int = 1


@dataclass
class Disturbance:
    """A command that is called again and again, each time in a fresh copy of a folder.

    Attributes:
        root: an empty folder.
        words: the words of the command.
        count: the number of its calls that write, if nothing disturbs it.
    """

    command: Command
    calls: FailingCalls
    counts: Counts
    root: Path
    words: list[str]
    count: int = 0
    _proven: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make the folder that the command starts from, and the one that it leaves undisturbed."""
        self._start = self.root / "start"
        self._start.mkdir()
        for words in self.command.before:
            self.call(self._start, words.split())
        if self.command.is_begun:
            self._call_undisturbed("uncut")
            self.call(self._start, self.words, first=self.count // 2, last=FOREVER, error=errno.ENOSPC)
        self._before = tree(self._start)
        self._output, self._after = self._call_undisturbed("twin")
        self._proven.add(_state(self._after))

    def call(self, folder: Path, words: list[str], **plan: Any) -> Output:
        """Call a command while some calls on files below the folder fail."""
        self.calls.plan(folder, **plan)
        return call(words, folder)

    def disturb(self, fault: str, *, error: int = 0, leaves_temporary: bool = False, **plan: Any) -> None:
        """Let calls fail, and judge what the command says and leaves, and what it does afterwards without a fault.

        Args:
            fault: the row of the table of counts.
            error: that the calls fail with.
            leaves_temporary: whether temporary files may be left, to be removed by the next command.
            plan: as for `FailingCalls.plan`.
        """
        folder = Path(shutil.copytree(self._start, self.root / "disturbed"))
        output = self.call(folder, self.words, error=error, **plan)
        failed, left = self.calls.failed, tree(folder)
        self.counts.tried(fault)
        what = f"iterhead {' '.join(self.words)}: {error and errno.errorcode[error]}, {plan}, {failed}"
        wrong = [self._wrong_words(output, failed, error, left), *self._wrong_files(folder, left, leaves_temporary)]
        # 1: a run of several failed, and the others were trained.
        if self.counts.judge(fault, output, (1, 2, self._output.code or 0), what):
            for kind, reason in filter(None, wrong):
                self.counts.broke(fault, kind, f"{what}: {reason}")
        state = _state(left)
        if state not in self._proven:
            self._proven.add(state)
            again = self.call(folder, self.command.again.split() or self.words)
            names = self._different(tree(folder))
            if self.counts.judge(fault, again, (self._output.code or 0,), f"{what}; then again") and names:
                self.counts.broke(fault, "lost", f"{what}; then again: {names} differ from the undisturbed ones")
        shutil.rmtree(folder)

    def _call_undisturbed(self, name: str) -> tuple[Output, Tree]:
        folder = Path(shutil.copytree(self._start, self.root / name))
        output = self.call(folder, self.words)
        self.count = self.calls.seen
        assert output.code in (0, 1), output
        assert not output.err, output
        return output, tree(folder)

    def _different(self, files: Tree) -> list[str]:
        """Return the names of the files that differ from those which the undisturbed command left."""
        content = _status if self.command.is_rounded else _content
        names = {*files, *self._after}
        return sorted(name for name in names if content(name, files) != content(name, self._after))

    def _wrong_words(self, output: Output, failed: str, error: int, left: Tree) -> tuple[str, str] | None:
        """The reason and a path of the user's are named in one line, unless the fault did not matter."""
        # Temporary files are judged with the files.
        whole = {name: data for name, data in left.items() if name not in _temporary(left)}
        if not output.err and output.code == self._output.code and not self._different(whole):
            return None
        path = f"/{failed.partition('/disturbed/')[2]}"
        named = re.sub(r"/\.(.+?)\.[0-9a-f]{8}\.tmp(\.old)?", r"/\1", path).removeprefix("/")
        paths = (named, str(Path(named).parent))
        lines = [line for line in output.err.splitlines() if not line.startswith("1 run failed. Try again with: ")]
        if len(lines) == 1 and os.strerror(error) in lines[0] and any(path in lines[0] for path in paths):
            return None if ".tmp" not in lines[0] else ("other", f"a temporary name: {lines[0]}")
        return "other", f"expected one line about {named}: code {output.code}, {output.err!r}"

    def _wrong_files(self, folder: Path, left: Tree, leaves_temporary: bool) -> list[tuple[str, str]]:
        """Nothing is lost or half-written, and no temporary file is left."""
        wrong = []
        temporary = _temporary(left)
        if temporary and not leaves_temporary:
            wrong.append(("other", f"left {temporary}"))
        # Without its settings, which are written first, a folder holds no run yet.
        runs = {path.parent for path in folder.rglob(atomic.CHECKSUMS) if path.with_name(CONFIG).exists()}
        for run in map(RunFolder, runs):
            try:
                missing = atomic.missing_files(run.path)
                for name in run.names():
                    run.read(name)
            except UserError as error:
                missing = [str(error)]
            if missing:
                wrong.append(("lost", f"{missing}"))
        for name, data in self._before.items():
            if name not in left and name in self._after:
                wrong.append(("lost", f"{name} is gone"))
            elif not runs.intersection((folder / name).parents) and left.get(name) not in (data, self._after.get(name)):
                wrong.append(("lost", f"{name} is neither the old nor the new one"))
        return wrong


def tree(folder: Path) -> Tree:
    """Return the files below a folder, without the locks."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in (LOCK, HOLDER)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def _temporary(files: Tree) -> list[str]:
    return [name for name in files if re.search(r"\.tmp\b", name)]


def _state(files: Tree) -> int:
    return hash(tuple(sorted(files.items())))


def _content(name: str, files: Tree) -> object:
    """Return the content of a file, None if it is not there; of checksums only the names of files that must be there.

    They may accept what a file was before, or that it is missing, until the next writer comes.
    """
    if Path(name).name != atomic.CHECKSUMS or name not in files:
        return files.get(name)
    folder, digests = Path(name).parent, json.loads(files[name])
    return sorted(file for file in digests if atomic.ABSENT not in digests[file] or str(folder / file) in files)


def _status(name: str, files: Tree) -> object:
    """Return the content of the files that do not depend on rounding, and of the others whether they are there."""
    return _content(name, files) if name.endswith(".json") else name in files

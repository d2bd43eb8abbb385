"""SIGSTOP for a minute, while a process holds a lock that another one wants: it goes on as if nothing had happened."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from faults.counts import Counts
from faults.forked import Forked, call
from faults.kinds import KINDS, Twin

STOPPED = 60.0
"""Seconds."""

SHARED = ("seeds", "study")
"""Work that several processes share: the second one waits for what the first one holds. Elsewhere it ends at once."""


@dataclass
class Scene:
    """A process that holds a lock and is stopped, and one that wants it."""

    kind: str
    twin: Twin
    folder: Path
    first: Forked
    holder: int
    second: Forked


def test_stopped_for_a_minute(counts: Counts, tmp_path: Path):
    scenes = [_stop(kind, tmp_path / kind) for kind in ("run", "population", "seeds", "study", "scan")]
    end = time.monotonic() + STOPPED
    for scene in scenes:
        counts.tried(_fault(scene))
        if scene.kind not in SHARED:
            _check_refused(scene, counts)
        counts.judge(_fault(scene), call(["show"], scene.folder), (0,), "show")
    time.sleep(max(0.0, end - time.monotonic()))
    for scene in scenes:
        if scene.kind in SHARED and scene.second.poll() is not None:
            counts.broke(_fault(scene), "other", f"it did not wait: {scene.second.wait()}")
        os.kill(scene.holder, signal.SIGCONT)
    for scene in scenes:
        outputs = [scene.first.wait(), *([scene.second.wait()] if scene.kind in SHARED else [])]
        for output in outputs:
            counts.judge(_fault(scene), output, (scene.twin.code,), str(scene.folder))
        for difference in scene.twin.differences(scene.folder):
            counts.broke(_fault(scene), "lost", f"{scene.folder}: {difference}")


def _fault(scene: Scene) -> str:
    return f"SIGSTOP for {STOPPED:.0f} s, {scene.kind}"


def _stop(kind: str, folder: Path) -> Scene:
    """Start a kind of work, stop the process that holds a lock of it, and start the same work once more."""
    folder.mkdir()
    twin = Twin(KINDS[kind], folder)
    work = twin.copy(folder / "work")
    first = twin.kind.start(work)
    holder = _holder(work)
    os.kill(holder, signal.SIGSTOP)
    return Scene(kind, twin, work, first, holder, twin.kind.start(work))


def _holder(folder: Path) -> int:
    """Return the process that holds the lock of a run or a scan in a folder, as soon as there is one."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for path in folder.rglob(".holder.json"):
            return json.loads(path.read_bytes())["pid"]
        time.sleep(0.002)
    raise AssertionError(f"nobody holds a lock in {folder}")


def _check_refused(scene: Scene, counts: Counts) -> None:
    """See that the second process says in one line who works here."""
    output = scene.second.wait()
    expected = f"another process (pid {scene.holder} "
    if counts.judge(_fault(scene), output, (2,), str(scene.folder)) and expected not in output.err:
        counts.broke(_fault(scene), "other", f"{scene.folder}: {output.err}")

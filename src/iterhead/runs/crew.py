"""The processes that train many runs, and what each is to do."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from iterhead.errors import UserError
from iterhead.runs.paths import is_finished, run_folder_name, start_name
from iterhead.runs.run import Run
from iterhead.runs.storage import RunFolder
from iterhead.runs.training import train_population
from iterhead.settings import RunConfig

ATTEMPTS = 3
"""How often a job is begun whose process dies, as by the system for want of memory."""

TICK = 1.0
"""Seconds between two calls of `tick`, and between two looks at runs that other processes work on."""


@dataclass(frozen=True)
class Result:
    """What became of one of many runs.

    Attributes:
        config: its settings.
        run: the run, finished or diverged; None where it failed.
        error: why it failed, in one line.
    """

    config: RunConfig
    run: Run | None
    error: str = ""


@dataclass(frozen=True)
class _Job:
    """Runs for one process.

    Attributes:
        runs: settings by the name of the folder.
        attempt: how often the job was begun, this time included.
    """

    runs: Mapping[str, RunConfig]
    attempt: int = 1

    @cached_property
    def starts(self) -> set[str]:
        """The folder names of the runs that these start from."""
        return {name for config in self.runs.values() if (name := start_name(config))}

    def only(self, names: Collection[str], attempt: int = 1) -> "_Job":
        """Return some of the runs as a job."""
        return _Job({name: self.runs[name] for name in names}, attempt)


@dataclass
class _Work:
    """A job in a process."""

    job: _Job
    process: BaseProcess
    reports: Connection


class Crew:
    """Processes that share jobs.

    Args:
        jobs: runs for one process each.
        out: the folder of run folders.
        parents: the folder of the runs that they start from.
        workers: processes at a time.
        threads: of PyTorch in each process; None: as many as an interrupted run began with, or the share.
        share: threads of a run that begins now.
        device: cpu, cuda or mps.
        keep: as for `train_population`.
    """

    def __init__(
        self,
        jobs: Sequence[Sequence[RunConfig]],
        out: Path,
        parents: Path,
        workers: int,
        threads: int | None,
        share: int,
        device: str,
        keep: Mapping[RunConfig, Collection[int]] | None,
    ):
        self._queue = [_Job({run_folder_name(config): config for config in job}) for job in jobs]
        self._held: list[_Job] = []  # by other processes
        self._out = out
        self._parents = parents
        self._workers = workers
        self._threads = threads, share
        self._device = device
        self._keep = keep
        self._context = _processes()

    def results(self, tick: Callable[[], None], begun: Callable[[Sequence[RunConfig]], None]) -> Iterator[Result]:
        """Do every job; the processes end with this generator, whatever ends it."""
        working: list[_Work] = []
        try:
            while self._queue or self._held or working:
                while len(working) < self._workers and (place := self._next(working)) is not None:
                    job = self._queue.pop(place)
                    yield from self._done(job)
                    if free := self._free(job):
                        begun(list(free.runs.values()))
                        working.append(self._begin(free))
                ended = wait([work.process.sentinel for work in working], timeout=TICK)
                tick()
                for work in [work for work in working if work.process.sentinel in ended]:
                    working.remove(work)
                    yield from self._end(work)
                self._look_again()
        finally:
            for work in working:
                work.process.terminate()
            for work in working:
                work.process.join()

    def _next(self, working: Sequence[_Work]) -> int | None:
        """Return the place of the first job in the queue whose runs start from none that is still to be trained."""
        undone = [*self._queue, *self._held, *(work.job for work in working)]
        names = {name for job in undone for name in job.runs}
        return next((place for place, job in enumerate(self._queue) if not job.starts & names), None)

    def _done(self, job: _Job) -> Iterator[Result]:
        """Yield the runs of a job that are finished."""
        for name, config in job.runs.items():
            if self._is_finished(name):
                yield Result(config, Run(self._folder(name)))

    def _free(self, job: _Job) -> _Job | None:
        """Return what is left to do of a job; what other processes work on is held until they end."""
        left = [name for name in job.runs if not self._is_finished(name)]
        held = [name for name in left if self._folder(name).is_held()]
        if held:
            self._held.append(job.only(held))
        free = [name for name in left if name not in held]
        return job.only(free, job.attempt) if free else None

    def _look_again(self) -> None:
        """Put back into the queue what other processes have finished, or left."""
        jobs, self._held = self._held, []
        for job in jobs:
            back = [name for name in job.runs if not self._folder(name).is_held()]
            if back:
                self._queue.append(job.only(back))
            if len(back) < len(job.runs):
                self._held.append(job.only([name for name in job.runs if name not in back]))

    def _begin(self, job: _Job) -> _Work:
        reports, sender = self._context.Pipe(duplex=False)
        configs = list(job.runs.values())
        keep = None if self._keep is None else {config: self._keep.get(config, ()) for config in configs}
        arguments = (configs, self._out, self._parents, self._threads, self._device, keep, sender)
        process = self._context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        sender.close()
        return _Work(job, process, reports)

    def _end(self, work: _Work) -> Iterator[Result]:
        """Yield what became of the runs of a job; those whose process died are queued again, a few times."""
        work.process.join()
        job = work.job
        try:
            error = str(work.reports.recv())
        except EOFError:
            error = f"its process ended with exit code {work.process.exitcode}, {job.attempt} times in a row"
        yield from self._done(job)
        left = [name for name in job.runs if not self._is_finished(name)]
        if left and work.process.exitcode != 0 and job.attempt < ATTEMPTS:
            self._queue.append(job.only(left, job.attempt + 1))
        elif left and not error:  # another process was quicker to take them
            self._held.append(job.only(left))
        elif len(left) > 1:  # one of them may be what fails: each by itself
            self._queue += [job.only([name]) for name in left]
        else:
            yield from (Result(job.runs[name], None, error) for name in left)

    def _is_finished(self, name: str) -> bool:
        """Whether a run is done; one that is damaged is not, and its process will say what is wrong with it."""
        try:
            return is_finished(self._folder(name))
        except UserError:
            return False

    def _folder(self, name: str) -> RunFolder:
        return RunFolder(self._out / name)


def _processes() -> ForkServerContext | SpawnContext:
    """Return how processes are begun: from a server that has PyTorch loaded, where the system has such."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "iterhead.runs"])
    return context


def _work(
    job: Sequence[RunConfig],
    out: Path,
    parents: Path,
    threads: tuple[int | None, int],
    device: str,
    keep: Mapping[RunConfig, Collection[int]] | None,
    reports: Connection,
) -> None:
    """Train one job, in a process of its own that ends with the one that began it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        train_population(
            job,
            out=out,
            parents=parents,
            threads=threads[0],
            share=threads[1],
            device=device,
            keep=keep,
            leave_held=True,
        )
        reports.send("")
    except (UserError, ValueError, RuntimeError, MemoryError, OSError) as error:
        reports.send(str(error).partition("\n")[0] or repr(error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)

"""Many runs: one process for each core with one thread, small networks together as populations.

Threads of PyTorch that outnumber the cores slow small networks tenfold, and a second thread on one small network gains
little; so a list of runs is spread over processes. Each process trains one job, that is one run or one population, and
ends. What it saved stands in the run folders, so a job whose process dies is simply begun again, and goes on.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from iterhead.errors import UserError
from iterhead.machine import find_device, free_cores
from iterhead.runs.execute import MOST_NETWORKS, find_folder, is_finished, train_population
from iterhead.runs.run import Run
from iterhead.settings import RunConfig
from iterhead.training import population_key

ATTEMPTS = 3
"""How often a job is begun whose process dies, as by the system for want of memory."""

SMALL_WIDTH = 32
"""Up to this width networks gain from a common computation on a CPU (docs/benchmarks.md)."""

TOGETHER = 16
"""Small networks in one computation on a CPU."""

TICK = 1.0
"""Seconds between two calls of `tick`."""


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


def train_many(
    configs: Sequence[RunConfig],
    *,
    out: str | Path = "runs",
    workers: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """Train runs side by side, and yield what became of each as soon as it is known, finished ones first.

    A run that fails is told of and the others go on. In a script, call this under `if __name__ == "__main__":`, since
    the processes import the script again.

    Args:
        configs: the settings of each run; those that are given twice are trained once.
        out: the folder of run folders.
        workers: processes at a time; one for each free core unless given, and one on a GPU.
        threads: of PyTorch in each process; the free cores shared among the processes unless given.
        device: cpu, cuda, mps or auto.
        tick: is called about once a second while there is something to wait for.

    Raises:
        UserError: no such device, or no workers or threads.
    """
    found = find_device(device)
    for name, count in (("workers", workers), ("threads", threads)):
        if count is not None and count < 1:
            raise UserError(f"{name}={count}: expected at least 1")
    waiting: list[RunConfig] = []
    for config in dict.fromkeys(configs):
        folder = find_folder(config, Path(out), again=False)
        if is_finished(folder):
            yield Result(config, Run(folder))
        else:
            waiting.append(config)
    crew = workers or (free_cores() if found == "cpu" else 1)
    jobs = make_jobs(waiting, crew, found)
    crew = min(crew, len(jobs))
    if jobs:
        used = threads or max(1, free_cores() // crew)
        yield from _Crew(jobs, Path(out), crew, used, found).results(tick)


def make_jobs(configs: Sequence[RunConfig], workers: int, device: str) -> list[list[RunConfig]]:
    """Return runs as jobs: populations where that pays, spread evenly over the workers, and single runs elsewhere."""
    groups: dict[RunConfig, list[RunConfig]] = {}
    for config in configs:
        groups.setdefault(population_key(config), []).append(config)
    jobs: list[list[RunConfig]] = []
    for key, group in groups.items():
        size = min(_networks_at_once(key, device), -(-len(group) // workers))
        jobs += [group[start : start + size] for start in range(0, len(group), size)]
    return jobs


def _networks_at_once(config: RunConfig, device: str) -> int:
    if device != "cpu":
        return MOST_NETWORKS
    return TOGETHER if config.model.width <= SMALL_WIDTH else 1


@dataclass
class _Work:
    """A job in a process."""

    job: list[RunConfig]
    attempt: int
    process: BaseProcess
    reports: Connection


class _Crew:
    """The processes, and what they are to do."""

    def __init__(self, jobs: Sequence[list[RunConfig]], out: Path, workers: int, threads: int, device: str):
        self._queue = [(job, 1) for job in jobs]
        self._out = out
        self._workers = workers
        self._threads = threads
        self._device = device
        self._context = _processes()

    def results(self, tick: Callable[[], None]) -> Iterator[Result]:
        """Do every job; the processes end with this generator, whatever ends it."""
        working: list[_Work] = []
        try:
            while self._queue or working:
                while self._queue and len(working) < self._workers:
                    working.append(self._begin(*self._queue.pop(0)))
                ended = wait([work.process.sentinel for work in working], timeout=TICK)
                tick()
                for work in [work for work in working if work.process.sentinel in ended]:
                    working.remove(work)
                    yield from self._end(work)
        finally:
            for work in working:
                work.process.terminate()
            for work in working:
                work.process.join()

    def _begin(self, job: list[RunConfig], attempt: int) -> _Work:
        reports, sender = self._context.Pipe(duplex=False)
        arguments = (job, self._out, self._threads, self._device, sender)
        process = self._context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        sender.close()
        return _Work(job, attempt, process, reports)

    def _end(self, work: _Work) -> Iterator[Result]:
        """Yield what became of the runs of a job; those whose process died are queued again, a few times."""
        work.process.join()
        try:
            error = str(work.reports.recv())
        except EOFError:
            error = f"its process ended with exit code {work.process.exitcode}, {work.attempt} times in a row"
        left: list[RunConfig] = []
        for config in work.job:
            folder = find_folder(config, self._out, again=False)
            if is_finished(folder):
                yield Result(config, Run(folder))
            else:
                left.append(config)
        if left and work.process.exitcode != 0 and work.attempt < ATTEMPTS:
            self._queue.append((left, work.attempt + 1))
        elif len(left) > 1:  # one of them may be what fails: each by itself
            self._queue += [([config], 1) for config in left]
        else:
            yield from (Result(config, None, error) for config in left)


def _processes() -> ForkServerContext | SpawnContext:
    """Return how processes are begun: from a server that has PyTorch loaded, where the system has such."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "iterhead.runs"])
    return context


def _work(job: list[RunConfig], out: Path, threads: int, device: str, reports: Connection) -> None:
    """Train one job, in a process of its own that ends with the one that began it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        train_population(job, out=out, threads=threads, device=device)
        reports.send("")
    except (UserError, ValueError, RuntimeError, MemoryError, OSError) as error:
        reports.send(str(error).partition("\n")[0] or repr(error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)

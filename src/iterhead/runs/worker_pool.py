"""Many runs in worker processes: one process for each core with one thread, small networks together as populations.

Threads of PyTorch that outnumber the cores slow small networks tenfold, and a second thread on one small network gains
little. So runs are spread over processes. Each process trains one job, that is one run or one population, and ends.
What it saved is in the run folders, so a job whose process dies is simply started again, and continues.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple, Unpack

from iterhead.errors import UserError
from iterhead.explain import explained
from iterhead.machine import check_count, find_device, free_cores
from iterhead.runs.checkpointing import tidy
from iterhead.runs.options import ExecutionKeywords, ExecutionOptions
from iterhead.runs.paths import parent_name, run_folder_name
from iterhead.runs.run import Run, is_finished
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.runs.training import MAX_NETWORKS
from iterhead.runs.worker_process import process_context, start_process, start_server, work
from iterhead.settings import RunConfig
from iterhead.training.trainer import population_key

SMALL_WIDTH = 32  # up to this width networks gain from a common computation on a CPU (docs/benchmarks.md)
MAX_SMALL_NETWORKS = 16  # in one computation on a CPU
MAX_ATTEMPTS = 3  # starts of a job whose process dies, for example killed by the system when memory runs out
TICK = 1.0  # seconds between two calls of `tick`, and between two looks at runs that other processes work on


@dataclass(frozen=True)
class Result:
    """One of many runs: its settings, the finished or diverged run, or None and in one line why it failed.

    With `is_bad_input` the cause is one that a person can mend, such as a full disk or a damaged folder: where the run
    is trained alone, `train` raises UserError.
    """

    config: RunConfig
    run: Run | None
    error: str = ""
    is_bad_input: bool = False


def train_many(
    configs: Sequence[RunConfig],
    *,
    workers: int | None = None,
    tick: Callable[[], None] = lambda: None,
    on_start: Callable[[Sequence[RunConfig]], None] = lambda _job: None,
    **options: Unpack[ExecutionKeywords],
) -> Generator[Result]:
    """Train runs side by side, and yield the result of each as soon as it is known, finished runs first.

    Failed runs are reported, and the others continue. A run that another process is using is left to it, and resumed
    if that process ends before the run does. A run that starts from another of `configs` waits for it. In a script,
    call this under `if __name__ == "__main__":`, since the processes import the script again.

    Args:
        configs: the settings of each run; duplicates are trained once.
        workers: processes at a time; one for each free core unless given, and one on a GPU.
        tick: is called about once a second while there is something to wait for.
        on_start: is given the runs of each job as it starts.
        options: the fields of `ExecutionOptions`, without `again` and `compiled`. Threads are those of each process;
            new runs share the free cores unless given.

    Raises:
        UserError: the device is missing, an option is unknown, there are no workers or threads, or `out` cannot be a
            folder.
    """
    chosen = ExecutionOptions.from_keywords(options)
    with explained("write", chosen.out), suppress(FileNotFoundError):  # before anything is started
        (chosen.out / CONFIG).stat()
    device = find_device(chosen.device)
    check_count("workers", workers)
    for name in ("again", "compiled"):
        if getattr(chosen, name):
            raise UserError(f"{name}=True: expected for train or train_population, not for train_many")
    waiting: list[RunConfig] = []
    for config in dict.fromkeys(configs):
        folder = RunFolder(chosen.out / run_folder_name(config))
        try:
            finished = is_finished(folder)
        except UserError as error:  # damaged
            yield Result(config, None, str(error), is_bad_input=True)
            continue
        if finished:
            tidy(folder, chosen.kept_of(config))
            yield Result(config, Run(folder))
        else:
            waiting.append(config)
    processes = worker_count(workers, device)
    jobs = make_jobs(waiting, processes, device)
    processes = min(processes, len(jobs))
    if jobs:
        threads = chosen.default_threads or max(1, free_cores() // processes)
        chosen = replace(chosen, device=device, default_threads=threads, skip_locked=True)
        yield from WorkerPool(jobs, processes, chosen).results(tick, on_start)


def worker_count(workers: int | None, device: str) -> int:
    """Return how many processes work at a time if there is enough to do: one for each free core, one on a GPU."""
    return workers or (free_cores() if device == "cpu" else 1)


def make_jobs(configs: Sequence[RunConfig], workers: int, device: str) -> list[list[RunConfig]]:
    """Return runs as jobs: populations where that pays, spread evenly over the workers, and single runs elsewhere.

    A run and one that starts from it, or from one that does, are never in one job, and no two jobs wait for each other.
    """
    by_name = {run_folder_name(config): config for config in configs}
    groups: dict[tuple[int, RunConfig], list[RunConfig]] = {}
    for config in configs:
        groups.setdefault((_ancestors(config, by_name), population_key(config)), []).append(config)
    jobs: list[list[RunConfig]] = []
    for (_, key), group in sorted(groups.items(), key=lambda entry: entry[0][0]):
        size = networks_at_once(key, len(group), workers, device)
        jobs += [group[start : start + size] for start in range(0, len(group), size)]
    return jobs


def _ancestors(config: RunConfig, by_name: Mapping[str, RunConfig]) -> int:
    """Return how many of these runs a run starts from, one after another."""
    parent = by_name.get(parent_name(config) or "")
    return 0 if parent is None else 1 + _ancestors(parent, by_name)


def networks_at_once(config: RunConfig, networks: int, workers: int, device: str) -> int:
    """Return how many of a number of networks like this one are best trained in one process."""
    most = MAX_SMALL_NETWORKS if config.model.width <= SMALL_WIDTH else 1
    return min(most if device == "cpu" else MAX_NETWORKS, -(-networks // workers))


@dataclass(frozen=True)
class _Job:
    """Runs for one process: settings by folder name, and how often they were started, this time included."""

    runs: Mapping[str, RunConfig]
    attempt: int = 1

    @cached_property
    def parents(self) -> set[str]:
        """The folder names of the runs that these start from."""
        return {name for config in self.runs.values() if (name := parent_name(config))}

    def select(self, names: Collection[str], attempt: int = 1) -> "_Job":
        """Return some of the runs as a job."""
        return _Job({name: self.runs[name] for name in names}, attempt)


class _Worker(NamedTuple):
    job: _Job
    process: BaseProcess
    connection: Connection


class WorkerPool:
    """Worker processes that share jobs, each job being runs for one process; `options` with `skip_locked`."""

    def __init__(self, jobs: Sequence[Sequence[RunConfig]], processes: int, options: ExecutionOptions):
        self._queue = [_Job({run_folder_name(config): config for config in job}) for job in jobs]
        self._locked: list[_Job] = []  # by other processes
        self._processes = processes
        self._options = options
        self._context = process_context()
        self._working: list[_Worker] = []

    def results(self, tick: Callable[[], None], on_start: Callable[[Sequence[RunConfig]], None]) -> Iterator[Result]:
        """Do every job; the processes end with this generator, however it ends."""
        working = self._working
        try:
            while self._queue or self._locked or working:
                while len(working) < self._processes and (index := self._next()) is not None:
                    job = self._queue.pop(index)
                    finished, left = self._sort(job)
                    yield from finished
                    if free := self._put_locked_aside(job, left):
                        job = job.select(free, job.attempt)
                        on_start(list(job.runs.values()))
                        yield from self._start(job)
                ended = wait([worker.process.sentinel for worker in working], timeout=TICK)
                tick()
                for worker in [worker for worker in working if worker.process.sentinel in ended]:
                    self._tidy(worker)
                    working.remove(worker)
                    yield from self._end(worker)
                self._requeue_unlocked()
        finally:
            for worker in working:
                worker.process.kill()  # SIGKILL, which ends a stopped process too
            for worker in working:
                self._tidy(worker)

    def _next(self) -> int | None:
        """Return the index of the first job in the queue whose runs start from none that is still to be trained."""
        undone = [*self._queue, *self._locked, *(worker.job for worker in self._working)]
        names = {name for job in undone for name in job.runs}
        return next((index for index, job in enumerate(self._queue) if not job.parents & names), None)

    def _sort(self, job: _Job) -> tuple[list[Result], list[str]]:
        """Return the runs of a job that are finished, and the names of the others."""
        finished, left = [], []
        for name, config in job.runs.items():
            folder = RunFolder(self._options.out / name)
            try:
                is_done = is_finished(folder)
            except UserError:  # damaged: its process will report what is wrong with it
                is_done = False
            if is_done:
                tidy(folder, self._options.kept_of(config))
                finished.append(Result(config, Run(folder)))
            else:
                left.append(name)
        return finished, left

    def _requeue_unlocked(self) -> None:
        """Put back into the queue what other processes have finished, or left."""
        jobs, self._locked = self._locked, []
        for job in jobs:
            if free := self._put_locked_aside(job, list(job.runs)):
                self._queue.append(job.select(free))

    def _put_locked_aside(self, job: _Job, names: Sequence[str]) -> list[str]:
        """Put aside those of a job's runs that other processes work on, and return the others."""
        locked = [name for name in names if RunFolder(self._options.out / name).is_locked()]
        if locked:
            self._locked.append(job.select(locked))
        return [name for name in names if name not in locked]

    def _start(self, job: _Job) -> Iterator[Result]:
        """Start a process for a job; yield the job's results if that failed again and again."""
        configs, options = list(job.runs.values()), self._options
        if (kept := options.kept_checkpoints) is not None:  # of thousands of runs a process needs few
            options = replace(options, kept_checkpoints={config: kept.get(config, ()) for config in configs})
        connection, other_end = self._context.Pipe()
        process = self._context.Process(target=work, args=(other_end,), daemon=True)
        try:
            start_server()
            start_process(process)
        except (EOFError, ConnectionError):  # the server of processes was killed; the next start brings a new one
            yield from self._settle(job, "its process could not be started", has_died=True)
            return
        other_end.close()
        self._working.append(_Worker(job, process, connection))
        with suppress(ConnectionError):  # it has ended already, which is noticed soon
            connection.send((configs, options))

    def _tidy(self, worker: _Worker) -> None:
        """Wait for the end of a process; if it was killed, remove its temporary files."""
        worker.process.join()
        if worker.process.exitcode == 0:
            return
        for name in worker.job.runs:
            folder = RunFolder(self._options.out / name)
            with suppress(UserError):  # another process has it, or it is damaged
                if folder.path.is_dir():
                    with folder.lock():
                        pass  # the lock does it

    def _end(self, worker: _Worker) -> Iterator[Result]:
        """Yield the results of a job whose process has ended."""
        job = worker.job
        try:
            error, is_bad_input = worker.connection.recv()
        except (EOFError, OSError):
            error = f"its process ended with exit code {worker.process.exitcode}, {job.attempt} times in a row"
            is_bad_input = False
        yield from self._settle(job, error, has_died=worker.process.exitcode != 0, is_bad_input=is_bad_input)

    def _settle(self, job: _Job, error: str, *, has_died: bool, is_bad_input: bool = False) -> Iterator[Result]:
        """Yield the results of a job; its runs are queued again a few times if its process has died."""
        finished, left = self._sort(job)
        yield from finished
        if left and has_died and job.attempt < MAX_ATTEMPTS:
            self._queue.append(job.select(left, job.attempt + 1))
        elif left and not error:  # another process was quicker to take them
            self._locked.append(job.select(left))
        elif len(left) > 1:  # one of them may be what fails: each by itself
            self._queue += [job.select([name]) for name in left]
        else:
            yield from (Result(job.runs[name], None, error, is_bad_input) for name in left)

"""Many runs: one process for each core with one thread, small networks together as populations.

Threads of PyTorch that outnumber the cores slow small networks tenfold, and a second thread on one small network gains
little; so a list of runs is spread over processes. Each process trains one job, that is one run or one population, and
ends. What it saved stands in the run folders, so a job whose process dies is simply begun again, and goes on.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from iterhead.errors import UserError
from iterhead.machine import find_device, free_cores
from iterhead.runs.crew import Crew, Result
from iterhead.runs.paths import find_folder, is_finished, run_folder_name, start_name
from iterhead.runs.run import Run
from iterhead.runs.training import MOST_NETWORKS
from iterhead.settings import RunConfig
from iterhead.training import population_key

SMALL_WIDTH = 32
"""Up to this width networks gain from a common computation on a CPU (docs/benchmarks.md)."""

TOGETHER = 16
"""Small networks in one computation on a CPU."""


def train_many(
    configs: Sequence[RunConfig],
    *,
    out: str | Path = "runs",
    parents: str | Path | None = None,
    workers: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    tick: Callable[[], None] = lambda: None,
    begun: Callable[[Sequence[RunConfig]], None] = lambda _job: None,
    keep: Mapping[RunConfig, Collection[int]] | None = None,
) -> Iterator[Result]:
    """Train runs side by side, and yield what became of each as soon as it is known, finished ones first.

    A run that fails is told of and the others go on. One that another process works on is left to it, and taken up
    if that process ends before the run does. In a script, call this under `if __name__ == "__main__":`, since
    the processes import the script again.

    Args:
        configs: the settings of each run; those that are given twice are trained once.
        out: the folder of run folders.
        parents: the folder of the runs that they start from; `out` unless given. A run that starts from another of
            `configs` waits for it.
        workers: processes at a time; one for each free core unless given, and one on a GPU.
        threads: of PyTorch in each process; the free cores shared among the processes unless given.
        device: cpu, cuda, mps or auto.
        tick: is called about once a second while there is something to wait for.
        begun: is given the runs of each job as it begins.
        keep: what finished runs keep, as for `train_population`.

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
        try:
            finished = is_finished(folder)
        except UserError as error:  # damaged
            yield Result(config, None, str(error))
            continue
        if finished:
            yield Result(config, Run(folder))
        else:
            waiting.append(config)
    crew = worker_count(workers, found)
    jobs = make_jobs(waiting, crew, found)
    crew = min(crew, len(jobs))
    if jobs:
        share = max(1, free_cores() // crew)
        places = Path(out), Path(out if parents is None else parents)
        yield from Crew(jobs, *places, crew, threads, share, found, keep).results(tick, begun)


def worker_count(workers: int | None, device: str) -> int:
    """Return how many processes work at a time, where there is enough to do: one for each free core, one on a GPU."""
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
    parent = by_name.get(start_name(config) or "")
    return 0 if parent is None else 1 + _ancestors(parent, by_name)


def networks_at_once(config: RunConfig, networks: int, workers: int, device: str) -> int:
    """Return how many networks like this one, of so many, are best trained in one process."""
    together = TOGETHER if config.model.width <= SMALL_WIDTH else 1
    return min(together if device == "cpu" else MOST_NETWORKS, -(-networks // workers))

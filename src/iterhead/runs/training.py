"""Training runs, alone or as populations: which of them go together, which are another process's, which wait."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from iterhead.atomic import HeldError, json_bytes
from iterhead.errors import UserError
from iterhead.machine import find_device, find_precision, free_cores, keep_freed_memory, torch_threads
from iterhead.runs.checkpointing import Journal
from iterhead.runs.paths import find_folder, is_finished, start_name
from iterhead.runs.population import Execution
from iterhead.runs.progress import NoObserver, Observer
from iterhead.runs.run import PROVENANCE, STATE, Run, provenance
from iterhead.runs.start import find_start
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.settings import RunConfig
from iterhead.training import Trainer, population_key

MOST_NETWORKS = 512
"""In one computation: each holds a lock, and systems commonly allow a process some thousand open files."""


def train(
    config: RunConfig | None = None,
    *,
    out: str | Path = "runs",
    parents: str | Path | None = None,
    again: bool = False,
    threads: int | None = None,
    device: str = "auto",
    compiled: bool = False,
    observer: Observer | None = None,
) -> Run:
    """Train a network, watch its heads, and return the run.

    A run that is finished is not trained again, one that was interrupted goes on where it was saved.

    Args:
        config: the settings; the defaults unless given.
        out: the folder of run folders.
        parents: the folder with the run that `config.start` names; `out` unless given. A run that has begun does not
            need it any more.
        again: train anew beside a finished run of the same settings.
        threads: of PyTorch; all free cores unless given, or as many as an interrupted run began with.
        device: cpu, cuda, mps, or auto: a GPU where there is one.
        compiled: let torch.compile translate the steps: half a minute or more before the first one.
        observer: is told of every evaluation.

    Raises:
        UserError: when another process works on the run, its folder is damaged, the run to start from is not there,
            not finished, damaged or does not fit, the device is not there, or the disk refuses.
    """
    (run,) = train_population(
        [config or RunConfig()],
        out=out,
        parents=parents,
        again=again,
        threads=threads,
        device=device,
        compiled=compiled,
        observer=observer,
    )
    return run


def train_population(
    configs: Sequence[RunConfig],
    *,
    out: str | Path = "runs",
    parents: str | Path | None = None,
    again: bool = False,
    threads: int | None = None,
    share: int | None = None,
    device: str = "auto",
    compiled: bool = False,
    observer: Observer | None = None,
    keep: Mapping[RunConfig, Collection[int]] | None = None,
    leave_held: bool = False,
) -> list[Run]:
    """Train many networks as one batched computation; return their runs, each in its own folder.

    A network gets what it would get alone, up to rounding: products of other shapes are summed in another order.

    Networks can be one computation when they agree in the settings that `training.population_key` keeps: they may
    differ in task, seed, start, learning rate, weight decay, split, evaluations, early stop and, at a constant rate,
    epoch limit. Those that do not agree are trained one population after another, and runs that start from others of
    them after these. A network that is finished leaves the computation; one whose loss is not finite leaves it too and
    is recorded as diverged, and the others go on. It pays where networks are small: see docs/benchmarks.md.

    Args:
        configs: the settings of each network; those that are given twice are trained once.
        out: as for `train`, like all that follow.
        parents: the folder of the runs that they start from.
        again: train anew beside finished runs.
        threads: of PyTorch.
        share: threads for runs that begin now, where `threads` is not given; all free cores unless given.
        device: cpu, cuda, mps or auto.
        compiled: let torch.compile translate the steps; for one network at a time.
        observer: is told of every evaluation of every run.
        keep: the epochs whose checkpoints each run keeps beside its last one; those that are not in it keep the last
            alone. A finished run then has no training state and no figure either. Everything is kept unless given.
        leave_held: leave out the runs that another process works on, instead of raising UserError; those that it has
            hardly begun are not among the runs that are returned.

    Raises:
        UserError: as for `train`; what was saved until then is kept.
    """
    places = Path(out if parents is None else parents)
    means = _Means(find_device(device), threads, share or free_cores(), compiled, places, keep, leave_held)
    keep_freed_memory()
    observer = observer or NoObserver()
    folders = [find_folder(config, Path(out), again) for config in configs]
    waiting = {folder.path: (config, folder) for config, folder in zip(configs, folders, strict=True)}
    while waiting := {path: entry for path, entry in waiting.items() if not is_finished(entry[1])}:
        names = {path.name for path in waiting}
        ready = {path: entry for path, entry in waiting.items() if start_name(entry[0]) not in names}
        begun = {path: _Begun.of(folder) for path, (_, folder) in ready.items()}
        keys = {path: (population_key(config), begun[path]) for path, (config, _) in ready.items()}
        like = next(iter(keys.values()))[0]
        # Runs of one kind that were stopped at different epochs: the last of them first, until it is level.
        behind, *ahead = sorted({begun.epoch for kind, begun in keys.values() if kind == like})
        first = next(key for key in keys.values() if key[0] == like and key[1].epoch == behind)
        group = [waiting[path] for path, key in keys.items() if key == first]
        held = _train_group(group[:MOST_NETWORKS], first[1], means, observer, until=ahead[0] if ahead else None)
        waiting = {path: entry for path, entry in waiting.items() if path not in held}
    return [Run(folder) for folder in folders if not leave_held or folder.has(CONFIG)]  # it may just be beginning there


@dataclass(frozen=True)
class _Means:
    """With what this process trains, and how; no number of threads where the machine is to decide."""

    device: str
    threads: int | None
    share: int
    compiled: bool
    parents: Path
    keep: Mapping[RunConfig, Collection[int]] | None
    leave_held: bool


@dataclass(frozen=True)
class _Begun:
    """How far a run is, and what whoever goes on with it must use; the defaults where it has not begun."""

    epoch: int = -1
    precision: str = ""
    threads: int = 0
    compiled: bool = False

    @classmethod
    def of(cls, folder: RunFolder) -> "_Begun":
        if not folder.has(STATE):
            return cls()
        try:
            status, epoch = Run(folder).status, int(folder.read_tensors(STATE)[0]["epoch"])
        except UserError:
            if is_finished(folder):  # by another process, just now; such a run may have no state any more
                return cls()
            raise
        return cls(epoch, status.precision, status.threads, status.compiled)


def _elsewhere(folders: Sequence[RunFolder], begun: _Begun) -> tuple[bool, set[Path]]:
    """Return whether another process has moved runs on since they were looked at, and those that it works on now."""
    held: set[Path] = set()
    for folder in folders:
        if folder.has(CONFIG):
            try:
                with folder.lock():
                    pass
            except HeldError:
                held.add(folder.path)
    return any(is_finished(folder) or _Begun.of(folder) != begun for folder in folders), held


def _train_group(
    group: Sequence[tuple[RunConfig, RunFolder]],
    begun: _Begun,
    means: _Means,
    observer: Observer,
    until: int | None,
) -> set[Path]:
    """Train runs that can be one computation; those that another process has moved on meanwhile are left alone.

    Return the folders of those that another process works on, if they are to be left out.

    Args:
        group: the runs.
        begun: how far they all are.
        means: what to train with.
        observer: is told.
        until: stop when this epoch is reached and saved; None to go on to the end.
    """
    configs = [config for config, _ in group]
    wanted = begun.precision or configs[0].training.precision
    precision = find_precision(wanted, means.device, configs[0].model.width)
    compiled = means.compiled or begun.compiled
    with torch_threads(means.threads or begun.threads or means.share) as used, ExitStack() as locks:
        # Before there is a folder: what only the start, the data or the memory refuse leaves nothing.
        try:
            starts = [find_start(config, folder, means.parents) for config, folder in group]
        except UserError:
            moved_on, elsewhere = _elsewhere([folder for _, folder in group], begun)
            if not means.leave_held or not (moved_on or elsewhere):
                raise
            return elsewhere
        weights = [start.weights if start else None for start in starts]
        trainer = Trainer(configs, starts=weights, device=means.device, precision=precision, compiled=compiled)
        taken: list[int] = []
        held: set[Path] = set()
        journals: list[Journal] = []
        for index, ((config, folder), start) in enumerate(zip(group, starts, strict=True)):
            try:
                locks.enter_context(folder.lock())
            except HeldError:
                if not means.leave_held:
                    raise
                held.add(folder.path)
                continue
            folder.clean()
            if not folder.has(CONFIG) or (start and not folder.has(STATE)):
                origin = json_bytes(provenance(config, start.origin if start else None))
                folder.write_many({PROVENANCE: origin, CONFIG: json_bytes(config.model_dump(mode="json"))})
            if is_finished(folder) or _Begun.of(folder) != begun:
                continue
            run = Run(folder)
            taken.append(index)
            status = replace(run.status, threads=used, device=means.device, precision=precision, compiled=compiled)
            kept = None if means.keep is None else means.keep.get(config, ())
            journals.append(Journal(run, status, kept))
        if journals:
            if len(taken) < len(group):
                trainer.select(taken)
            Execution(trainer, journals, observer).execute(until)
    return held

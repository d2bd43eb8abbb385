"""Training runs, alone or as populations: which of them are one computation, which come first, which are skipped."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from torch import Tensor

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.machine import find_device, find_precision, free_cores, keep_freed_memory, torch_threads
from iterhead.runs.checkpointing import PopulationTraining, RunWriter, tidy
from iterhead.runs.options import ExecutionKeywords, ExecutionOptions, Observer
from iterhead.runs.paths import open_run, parent_name, run_folder_name
from iterhead.runs.run import PROVENANCE, STATE, Run, checkpoint_name, is_finished, provenance
from iterhead.runs.storage import CONFIG, LockedError, RunFolder
from iterhead.settings import RunConfig, StartConfig
from iterhead.training.initial_weights import check_fit
from iterhead.training.trainer import Trainer, population_key

MAX_NETWORKS = 512  # in one computation: each holds a lock, and a process may commonly open some thousand files

Item = tuple[RunConfig, RunFolder]  # a run to be trained, and where it is or will be


def train(
    config: RunConfig | None = None, *, observer: Observer | None = None, **options: Unpack[ExecutionKeywords]
) -> Run:
    """Train a network, watch its heads, and return the run.

    A finished run is not trained again. An interrupted one continues from its last checkpoint.

    Args:
        config: the settings; the defaults unless given.
        observer: is called after every evaluation.
        options: the fields of `ExecutionOptions`, such as `out="runs", threads=1`.

    Raises:
        UserError: another process is using the run; its folder is damaged; the run to start from is missing, not
            finished, damaged or does not fit; the device is missing; an option is unknown; or a file cannot be written.
    """
    (run,) = train_population([config or RunConfig()], observer=observer, **options)
    return run


def train_population(
    configs: Sequence[RunConfig], *, observer: Observer | None = None, **options: Unpack[ExecutionKeywords]
) -> list[Run]:
    """Train many networks as one batched computation; return their runs, each in its own folder.

    A network gets what it would get alone, up to rounding: products of other shapes are summed in another order.

    Networks can be one computation if they agree in the settings that `training.population_key` keeps: they may
    differ in task, seed, start, learning rate, weight decay, split, evaluations, early stop and, at a constant rate,
    epoch limit. Those that do not agree are trained one population after another, and runs that start from others of
    them after these. A network leaves the computation when it is finished, or diverged (its loss is not finite). It
    pays where networks are small: see docs/benchmarks.md.

    Args:
        configs: the settings of each network; duplicates are trained once.
        observer: is called after every evaluation of every run.
        options: the fields of `ExecutionOptions`.

    Raises:
        UserError: as for `train`; what was saved until then is kept.
    """
    chosen = ExecutionOptions.from_keywords(options)
    chosen = replace(chosen, device=find_device(chosen.device))
    keep_freed_memory()
    folders = [_choose_folder(config, chosen) for config in configs]
    waiting = {folder.path: (config, folder) for config, folder in zip(configs, folders, strict=True)}
    for config, folder in waiting.values():
        if is_finished(folder):
            tidy(folder, chosen.kept_of(config))
    while waiting := {path: item for path, item in waiting.items() if not is_finished(item[1])}:
        group, progress, until = _next_group(waiting)
        locked = _train_group(group, progress, until, chosen, observer)
        waiting = {path: item for path, item in waiting.items() if path not in locked}
    # Of a skipped run there may be no settings yet.
    return [Run(folder) for folder in folders if not chosen.skip_locked or folder.has(CONFIG)]


def _choose_folder(config: RunConfig, options: ExecutionOptions) -> RunFolder:
    """Return the folder of a config's run; with `again`, the first of name, name-2, ... that is not finished."""
    name = run_folder_name(config)
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    folders = (RunFolder(options.out / name) for name in names)
    return next(folder for folder in folders if not (options.again and _is_taken(folder)))


def _is_taken(folder: RunFolder) -> bool:
    """Whether a folder holds a run that is finished, or damaged."""
    try:
        for name in folder.names():
            folder.read(name)
        return is_finished(folder)
    except UserError:
        return True


@dataclass(frozen=True)
class _SavedProgress:
    """How far a run is saved, and what must be used to continue it; the defaults for a new run."""

    epoch: int = -1
    precision: str = ""
    threads: int = 0
    compiled: bool = False

    @classmethod
    def of(cls, folder: RunFolder) -> "_SavedProgress":
        if not folder.has(STATE):
            return cls()
        try:
            status, epoch = Run(folder).status, int(folder.read_tensors(STATE)[0]["epoch"])
        except UserError:
            if is_finished(folder):  # by another process, just now; such a run may have no state any more
                return cls()
            raise
        return cls(epoch, status.precision, status.threads, status.compiled)


class _Start(NamedTuple):
    """Weights that a run starts from, by name, and their origin for provenance.json (empty once it has begun)."""

    weights: Mapping[str, Tensor]
    origin: Mapping[str, Any]


def _next_group(waiting: dict[Path, Item]) -> tuple[list[Item], _SavedProgress, int | None]:
    """Return runs that can be trained together now, how far they all are, and the epoch to stop at, if any.

    Runs of one kind that were interrupted at different epochs catch up one after another: the least advanced are
    trained first, until they have reached the next ones.
    """
    names = {path.name for path in waiting}
    ready = {path: item for path, item in waiting.items() if parent_name(item[0]) not in names}
    keys = {path: (population_key(config), _SavedProgress.of(folder)) for path, (config, folder) in ready.items()}
    kind = next(iter(keys.values()))[0]
    first_epoch, *later_epochs = sorted({progress.epoch for other, progress in keys.values() if other == kind})
    first = next(key for key in keys.values() if key[0] == kind and key[1].epoch == first_epoch)
    group = [waiting[path] for path, key in keys.items() if key == first]
    return group[:MAX_NETWORKS], first[1], later_epochs[0] if later_epochs else None


def _train_group(
    group: Sequence[Item],
    progress: _SavedProgress,
    until: int | None,
    options: ExecutionOptions,
    observer: Observer | None,
) -> set[Path]:
    """Train runs as one computation, and return the folders of those that another process is using.

    Runs that another process has advanced since `progress` was read are left for the next round.
    """
    configs = [config for config, _ in group]
    first = configs[0]
    precision = find_precision(progress.precision or first.training.precision, options.device, first.model.width)
    compiled = options.compiled or progress.compiled
    threads = options.threads or progress.threads or options.default_threads or free_cores()
    with torch_threads(threads), ExitStack() as locks:
        # Before any folder is made: if the start, the data or the memory refuse, nothing is left behind.
        try:
            starts = [_find_start(config, folder, options.parents) for config, folder in group]
        except UserError:
            locked = {folder.path for _, folder in group if folder.has(CONFIG) and folder.is_locked()}
            advanced = any(is_finished(folder) or _SavedProgress.of(folder) != progress for _, folder in group)
            if options.skip_locked and (locked or advanced):
                return locked
            raise
        weights = [start.weights if start else None for start in starts]
        trainer = Trainer(configs, starts=weights, device=options.device, precision=precision, compiled=compiled)
        locked, writers = set(), {}
        for network, ((config, folder), start) in enumerate(zip(group, starts, strict=True)):
            try:
                locks.enter_context(folder.lock())
            except LockedError:
                if not options.skip_locked:
                    raise
                locked.add(folder.path)
                continue
            run = _prepare(config, folder, start)
            if is_finished(folder) or _SavedProgress.of(folder) != progress:
                continue
            status = replace(run.status, threads=threads, device=options.device, precision=precision, compiled=compiled)
            writers[network] = RunWriter(run, status, options.kept_of(config))
        if writers:
            if len(writers) < len(group):
                trainer.select(list(writers))
            PopulationTraining(trainer, list(writers.values()), observer).run(until)
    return locked


def _prepare(config: RunConfig, folder: RunFolder, start: _Start | None) -> Run:
    """Return the run of a folder whose lock is held; its settings and their provenance are written if it is new."""
    if not folder.has(CONFIG) or (start and not folder.has(STATE)):
        origin = atomic.json_bytes(provenance(config, start.origin if start else None))
        folder.write_many({PROVENANCE: origin, CONFIG: atomic.json_bytes(config.model_dump(mode="json"))})
    return Run(folder)


def _find_start(config: RunConfig, folder: RunFolder, parents: Path) -> _Start | None:
    """Return what a run starts from, or None if its weights are drawn from its seed.

    A run that has begun takes its frozen weights from a checkpoint of its own. The parent of a new one is in the
    folder `parents`.
    """
    if config.start is None:
        return None
    if folder.has(STATE):
        run = Run(folder)
        return _Start(run.weights_at(run.checkpoints[-1]), {})
    try:
        return _read_parent(config, config.start, parents)
    except UserError as error:
        raise UserError(f"cannot start from {config.start.run}: {error}") from None


def _read_parent(config: RunConfig, start: StartConfig, parents: Path) -> _Start:
    folder = open_run(str(parents / start.run), parents)
    if folder.path.name != start.run:
        raise UserError(f"no such run in {parents}; did you mean {folder.path.name}?")
    parent = Run(folder)
    status = parent.status
    if status.state == "running":
        done = f"{status.epoch} of at most {parent.config.training.epochs} epochs are done"
        raise UserError(f"{folder.path}: not finished: {done}; the iterhead run that made it continues it")
    if status.state == "diverged":
        raise UserError(f"{folder.path}: its training diverged: expected a run that is finished")
    check_fit(config, parent.config)
    epoch = parent.checkpoints[-1] if start.epoch is None else start.epoch
    weights = parent.weights_at(epoch)
    checksum = hashlib.sha256(folder.read(checkpoint_name(epoch))).hexdigest()
    return _Start(weights, {"run": start.run, "epoch": epoch, "sha256": checksum})

"""Networks as folders that other tools open."""

from pathlib import Path

import numpy as np

from iterhead.errors import UserError
from iterhead.huggingface import require_transformers
from iterhead.huggingface.network import Network
from iterhead.model.size import check_network
from iterhead.runs.model_card import Exported, model_card
from iterhead.runs.run import Run, changed_settings
from iterhead.seeds import IntegerStream
from iterhead.settings import DataConfig
from iterhead.settings.configs import MAX_LENGTH
from iterhead.tasks import SequenceLayout, Task, Vocabulary
from iterhead.tasks import task as named_task

WORKED_LENGTH = 5
"""Inputs of the worked sequence in the model card, at most."""


def export(
    network: Run | Network,
    folder: str | Path,
    format: str = "auto",
    *,
    task: Task | str | None = None,
    epoch: int | None = None,
    force: bool = False,
) -> Path:
    """Write a network as a folder that Hugging Face's `from_pretrained` opens, and return the folder.

    It holds config.json, model.safetensors, a tokenizer and a model card, README.md. Format `auto` takes every network:
    a modelling file comes with the weights, so iterhead is not needed to open it. `gpt2` and `transformer-lens` are
    plain GPT-2 checkpoints; they take pre-norm networks with LayerNorm and positions that are added, or none. A network
    of another architecture is a plain checkpoint of it, with format `auto`.

    Args:
        network: a run, or one network with its `task`.
        folder: new or empty; its parents are made.
        format: auto, gpt2 or transformer-lens.
        task: of a network without a run, as a value or by name; its sequences have a chain of thought.
        epoch: which checkpoint of the run; the last one unless given.
        force: replace an earlier export.

    Raises:
        UserError: transformers is not installed, the network does not fit the format or the memory, there is no such
            checkpoint, or the folder is not empty or cannot be written to.
    """
    require_transformers()
    from iterhead.huggingface.export import (
        check_destination,
        check_format,
        make_tokenizer,
        to_huggingface,
        write_folder,
    )

    format, folder = check_format(format), Path(folder)
    check_destination(folder, force=force)
    model = network.config.model if isinstance(network, Run) else network.config
    context = network.config.context if isinstance(network, Run) else network.context
    check_network(model, context, copies=3)  # as loaded, as exported, and in the file
    exported = _of_run(network, epoch) if isinstance(network, Run) else _of_network(network, task)
    hf = to_huggingface(exported.model, format)
    tokenizer = make_tokenizer(exported.task, Vocabulary(exported.model.config.vocabulary))
    worked = [tokenizer.decode(tokens) for tokens in _worked_sequences(exported)]
    card = model_card(exported, format, folder.resolve().name, worked)
    write_folder(hf, tokenizer, folder, origin=exported.origin, card=card, force=force)
    return folder


def _of_run(run: Run, epoch: int | None) -> Exported:
    model, last = run.model if epoch is None else run.model_at(epoch), run.checkpoints[-1]
    epoch = last if epoch is None else epoch
    return Exported(
        model=model,
        task=run.task,
        data=run.config.data,
        scores=run.scores if epoch == last else run.history.get(epoch),
        run=run.name,
        epoch=epoch,
        settings=changed_settings(run.config),
    )


def _of_network(model: Network, task: Task | str | None) -> Exported:
    if task is None:
        raise UserError("export of a network needs its task: expected a task or its name, e.g. task='parity'")
    task = named_task(task) if isinstance(task, str) else task
    Vocabulary(model.config.vocabulary).check(task.alphabet, len(task.components))
    longest = 1 + (model.context - SequenceLayout(1).size) // 2  # each input more takes two tokens
    return Exported(model=model, task=task, data=DataConfig(max_length=min(max(1, longest), MAX_LENGTH)))


def _worked_sequences(exported: Exported) -> list[list[int]]:
    """Return the ids of one whole sequence of each component."""
    layout = exported.data.layout(min(WORKED_LENGTH, exported.data.max_length))
    vocabulary = Vocabulary(exported.model.config.vocabulary)
    sequences = []
    for index, component in enumerate(exported.task.components):
        draws = IntegerStream(0, "worked sequence", index).integers(len(component.symbols), (1, layout.length))
        inputs = np.asarray(component.symbols)[draws]
        sequences.append(layout.assemble(vocabulary, inputs, component.states(inputs), index)[0].tolist())
    return sequences

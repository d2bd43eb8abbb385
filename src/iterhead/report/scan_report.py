"""The page of a finished scan, from its result and the model."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from iterhead.formatting import head_label
from iterhead.huggingface.language_model import LanguageModel
from iterhead.prompts import PromptBatch
from iterhead.report.scan_examples import Intervention, page_examples
from iterhead.report.scan_page import SCAN_REPORT, scan_page
from iterhead.runs.storage import RunFolder
from iterhead.scans.causal import RANDOM, SHIFTED, next_inputs, random_inputs, states_after
from iterhead.scans.passes import Integers
from iterhead.scans.result import ScanResult
from iterhead.scans.settings import ScanConfig, prepare
from iterhead.settings.reading import parse_as


def write_scan_report(result: ScanResult, model: LanguageModel, command: str = "") -> None:
    """Write a scan's page, scan.html, into its folder; arguments as of `scan_report`.

    Raises:
        UserError: another process is using the folder, or the file cannot be written.
    """
    page = scan_report(result, model, command)
    folder = RunFolder(Path(result.folder))
    with folder.lock():
        folder.write(SCAN_REPORT, page)


def scan_report(result: ScanResult, model: LanguageModel, command: str = "") -> bytes:
    """Return a scan's page, below 1 MB.

    The model runs on one prompt of each length, for the attention of every head and for edits of the text; the answers
    under interventions on heads are those of the scan.

    Args:
        result: of a scan.
        model: that was scanned.
        command: the command that repeats the scan, to be shown.
    """
    batches = prepare(parse_as(ScanConfig, result.settings), model).batches
    examples = page_examples(model, list(batches.values()), lambda batch: interventions(result, batch))
    return scan_page(result.as_json(), examples, command)


def interventions(result: ScanResult, batch: PromptBatch) -> Mapping[str, Intervention]:
    """Return the interventions of a scan on the prompts of one length, in the order of its causal table."""
    made = {}
    for row in result.causal:
        name = row.intervention
        if name in _EDITS:
            if batch.length > 1:
                made[name] = _EDITS[name](batch)
        elif name in result.answers and name != "none":
            predicted = _predicted(name, batch, result.settings["seed"])
            heads = ", ".join(head_label(head) for head in row.heads)
            about = f"Changed: {heads}." if heads else "The first of several draws of random heads."
            answers = result.answers[name][str(batch.length)]
            made[name] = Intervention(answers=answers, predicted_BL=predicted, about=about)
    return made


def _predicted(name: str, batch: PromptBatch, seed: int) -> Integers | None:
    """Return the states that F gives for the inputs that heads are made to look at; None without such an input."""
    if name.startswith(SHIFTED):
        return states_after(batch, next_inputs(batch))
    return states_after(batch, random_inputs(batch, seed)) if name.startswith(RANDOM) else None


def _state_replaced(batch: PromptBatch) -> Intervention:
    """Replace the state in the middle by the next value; all else stays as it is written."""
    step = batch.length // 2
    edited = batch.with_state(step, (batch.states_BL[:, step - 1] + 1) % batch.task.alphabet)
    return Intervention(batch=edited, predicted_BL=edited.next_states_BL, about=_about("s", step, edited.states_BL))


def _input_replaced(batch: PromptBatch) -> Intervention:
    """Replace the input in the middle by the next one of the task; the states stay as they are written."""
    step, symbols = batch.length // 2, np.sort(batch.task.symbols)
    following = np.searchsorted(symbols, batch.inputs_BL[:, step - 1]) + 1
    edited = batch.with_input(step, symbols[following % len(symbols)], follow=False)
    return Intervention(batch=edited, predicted_BL=edited.next_states_BL, about=_about("x", step, edited.inputs_BL))


def _about(letter: str, step: int, values_BL: Integers) -> str:
    return f"In the text, {letter}_{step} is {values_BL[0, step - 1]} here; everything else is as it was."


_EDITS = {"a written state replaced": _state_replaced, "an input replaced": _input_replaced}

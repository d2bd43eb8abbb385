"""Iteration heads in any causal language model: behaviour, scores, causal tests, verdict.

A scan goes through these steps, a module each; `run` does them in order and saves every one:

    settings      what to scan: prompts of several lengths
    behaviour     does the model do the task?
    scores        what does every head look at?
    significance  which heads look at x_t more than chance, and more than at anything else?
    causal        do the answers depend on them?
    verdict       one word and one sentence
    result        all of this as a value, `ScanResult`
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # they need transformers, an optional extra
    from iterhead.huggingface.language_model import LanguageModel
    from iterhead.scans.result import ScanResult


def scan(
    model: "LanguageModel | str",
    *,
    out: str | Path = "scans",
    progress: Callable[[int, int, str], None] | None = None,
    **settings: Any,
) -> "ScanResult":
    """Look for iteration heads in a causal language model: behaviour, scores, causal tests and a verdict.

    A finished scan is read from its folder; an interrupted one is continued. The page is made by `iterhead scan`, or by
    `report.scan_report.write_scan_report(result, model)`.

    Args:
        model: a `LanguageModel`, or a folder or hub name that `LanguageModel.from_pretrained` loads.
        out: the folder of the scans' folders.
        progress: is called before every step with the steps done, all steps, and what comes next.
        settings: the fields of `ScanConfig`: `task`, `form`, `shots`, `lengths`, `prompts`, `tokens`, `seed`.

    Raises:
        UserError: transformers is not installed, a setting is wrong, the model cannot be loaded or does not fit the
            settings, or the folder cannot be written.
    """
    from iterhead.huggingface import require_transformers

    require_transformers()
    from iterhead.huggingface.language_model import LanguageModel
    from iterhead.scans.run import run_scan
    from iterhead.scans.settings import ScanConfig
    from iterhead.settings.reading import parse_as

    config = parse_as(ScanConfig, settings)
    loaded = LanguageModel.from_pretrained(model) if isinstance(model, str) else model
    return run_scan(loaded, config, out, progress)

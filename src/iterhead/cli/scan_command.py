"""`iterhead scan`: look for iteration heads in a language model, and test what they do."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.parsing import Command, Parser, declare, declare_shared, filled, one_of, place, refused, whole_number
from iterhead.cli.shell import Interrupts, command_line, print_json
from iterhead.formatting import listed, percent, plural
from iterhead.values import MAX_SEED

if TYPE_CHECKING:
    from iterhead.scans.result import HeadScore, ScanResult

BEST = 5
"""Heads of each role that the table shows, besides the significant ones."""

LEGEND = (
    "right: first tokens of states that are right. follow: those that are F of the state and the input that are looked "
    "at instead, where that is another token. 95%: of follow, or else of right."
)

MOST_SHOWN = 12
"""Significant heads of each role that the table shows at most."""


def _declare(parser: Parser) -> None:
    from iterhead.prompts import FORMS

    what = parser.add_argument_group("what to scan")
    what.add_argument("model", metavar="MODEL", help="a folder with config.json, or a name on the Hugging Face hub")
    declare(what, "--task", "TASK", "the task, as iterhead tasks lists them", default="polynomial")
    declare(what, "--form", "FORM", ", ".join(FORMS), default="after-input")
    declare(what, "--shots", "N", "worked examples in each prompt [default: 4]", whole_number(least=0))
    declare(what, "--lengths", "LIST", "numbers of inputs [default: those of 4,6,8,11,16 that fit]", length_list)
    declare(what, "--prompts", "N", "prompts of each length", whole_number(least=2), 16)
    declare(what, "--tokens", "KIND", "text, ids (the layout of iterhead's networks) or auto", one_of(*TOKENS), "auto")
    declare(
        what,
        "--seed",
        "N",
        "seed of the prompts, permutations and random heads",
        whole_number(least=0, most=MAX_SEED),
        0,
    )
    how = parser.add_argument_group("how")
    declare(how, "--dtype", "NAME", f"{', '.join(DTYPES)}; auto is as saved", one_of(*DTYPES), "auto")
    how.add_argument("--allow-pickle", action="store_true", help="load pickled weights, which can run any code")
    how.add_argument("--trust-remote-code", action="store_true", help="run the code that comes with the model")
    declare(how, "--out", "FOLDER", "folder of the scans", place, "scans")
    declare_shared(how, "device")


TOKENS = ("auto", "text", "ids")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def length_list(text: str) -> tuple[int, ...]:
    """Return the lengths that `4,8,16` stands for; a reader for argparse's `type`."""
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise refused(text, "whole numbers with commas, such as 4,8,16")
    return tuple(map(int, text.split(",")))


def _scan(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Scan the model, or continue a scan, and print the result."""
    from iterhead.huggingface import require_transformers

    require_transformers()
    result = _run(options, interrupts)
    if options.json:
        print_json({"folder": result.folder, **result.as_json()})
    else:
        _show(result)
    return 0


def _run(options: argparse.Namespace, interrupts: Interrupts) -> "ScanResult":
    from iterhead.cli.watch import RunsBar
    from iterhead.huggingface.language_model import LanguageModel
    from iterhead.report.scan_page import SCAN_REPORT
    from iterhead.report.scan_report import write_scan_report
    from iterhead.scans.run import run_scan
    from iterhead.scans.settings import ScanConfig
    from iterhead.settings.reading import parse_as

    names = ("task", "form", "shots", "lengths", "prompts", "tokens", "seed")
    given = {name: getattr(options, name) for name in names}
    config = parse_as(ScanConfig, {name: value for name, value in given.items() if value is not None})
    again = command_line(options.typed)
    interrupts.message = lambda: f"Interrupted: finished steps are saved. Go on with: {again}"
    with interrupts.raised(), RunsBar(silent=options.json) as bar:
        bar.write(f"Loading {options.model}.")
        model = LanguageModel.from_pretrained(
            options.model,
            device=options.device,
            dtype=options.dtype,
            trust_remote_code=options.trust_remote_code,
            allow_pickle=options.allow_pickle,
        )
        bar.write(
            f"{type(model.hf).__name__}: {plural(model.layers, 'layer')} of {plural(model.heads, 'head')}, in "
            f"{str(model.dtype).removeprefix('torch.')} on {model.device}. Ctrl-C pauses, and the same command goes on."
        )
        result = run_scan(model, config, options.out, bar.show)
        if not (Path(result.folder) / SCAN_REPORT).exists():
            write_scan_report(result, model, again)
        return result


def _show(result: "ScanResult") -> None:
    """Print behaviour, the best heads, the interventions, the verdict, and where the files are."""
    from rich.console import Console

    from iterhead.cli.output import plain_table, score_text

    console, settings, behaviour = Console(highlight=False), result.settings, result.behaviour
    free = "" if behaviour.free is None else f", {percent(behaviour.free)} when it writes the whole chain"
    lengths = f"length{'s' * (len(settings['lengths']) > 1)} {listed([str(length) for length in settings['lengths']])}"
    print(filled(f"{settings['task']}, {settings['form']}, {lengths}. {' '.join(result.notes)}"))
    print(
        filled(
            f"States right: {percent(behaviour.teacher_forced)} given the right ones before{free}; the best guess "
            f"without x_t: {percent(behaviour.guess)}."
        )
    )
    heads = plain_table(
        "layer", "head", "role", "score", "95%", "p", "best competing key", left=["role", "95%", "best competing key"]
    )
    for head in _shown(result):
        heads.add_row(
            f"{head.layer + 1}",
            f"{head.head + 1}",
            head.role,
            f"{head.score:.2f}",
            f"{head.low:.2f} .. {head.high:.2f}",
            f"{head.p:.3f}{'*' if head.significant else ''}",
            head.competing,
        )
    console.print("", heads, "* significant: p at most 0.05, and the interval above 0", sep="\n")
    if result.causal:
        table = plain_table("intervention", "right", "follow", "95%", left=["95%"], wrapped=["intervention"])
        for row in result.causal:
            where = f" ({', '.join(f'{layer + 1}.{head + 1}' for layer, head in row.heads)})" if row.heads else ""
            interval = f"{row.low:.2f} .. {row.high:.2f}"
            table.add_row(f"{row.intervention}{where}", score_text(row.accuracy), score_text(row.follows), interval)
        console.print("", table, sep="\n")
        print(filled(LEGEND))
    print(
        f"\n{filled(result.sentence)}\n\nWritten: scan.html, scan.png, scan.pdf and result.json in\n  {result.folder}"
    )


def _shown(result: "ScanResult") -> list["HeadScore"]:
    """Return the heads of the table: of each role the best ones, and all that are significant, up to a limit."""
    shown = []
    for role in ("iteration", "first"):
        heads = [head for head in result.heads if head.role == role]
        shown += [head for i, head in enumerate(heads) if i < BEST or (head.significant and i < MOST_SHOWN)]
    return shown


COMMAND = Command(
    name="scan",
    summary="look for iteration heads in a language model of Hugging Face",
    about=(
        "Lets the model do a task step by step, and says: how many states are right; which heads look at x_t when s_t "
        "is written, more than at anything else (with intervals over prompts, and p-values that allow for the number "
        "of heads); and whether the answers depend on these heads. The verdict is iteration-head, competing-head, none "
        "or task-not-done; the exit code is 0 for each of them. The same command continues an interrupted scan. "
        "Needs transformers: pip install 'iterhead[hf]'."
    ),
    examples=(
        ("iterhead scan FOLDER", "a polynomial mod 11: text prompts with four worked examples"),
        (
            "iterhead scan FOLDER --task parity --form interleaved",
            "a control: a head that looks at itself is enough",
        ),
        ("iterhead scan FOLDER --lengths 4,8,12 --prompts 64", "more prompts, so narrower intervals"),
        ("iterhead scan FOLDER --json", "for scripts"),
    ),
    declare=_declare,
    run=_scan,
)

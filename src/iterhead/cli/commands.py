"""The commands, and the help that lists them.

To add one: a module beside this one with a `Command` in it, and its place in `COMMANDS`.
"""

from difflib import get_close_matches

from iterhead.cli.bench import COMMAND as BENCH
from iterhead.cli.handmade import COMMAND as HANDMADE
from iterhead.cli.parsing import Command, example_lines, nearest_option
from iterhead.cli.report import COMMAND as REPORT
from iterhead.cli.run import COMMAND as RUN
from iterhead.cli.show import COMMAND as SHOW
from iterhead.cli.study import COMMAND as STUDY
from iterhead.cli.tasks import COMMAND as TASKS
from iterhead.cli.transfer import COMMAND as TRANSFER
from iterhead.cli.verify import COMMAND as VERIFY
from iterhead.errors import UserError

COMMANDS = (RUN, TRANSFER, SHOW, REPORT, VERIFY, HANDMADE, STUDY, TASKS, BENCH)

_EXAMPLES = (
    ("iterhead run", "train on a polynomial mod 11 and watch the iteration head emerge: a minute"),
    ("iterhead run --data.max-length 8", "the same with shorter sequences: half a minute"),
    ("iterhead show", "the runs made so far; iterhead show RUN looks into one"),
    ("iterhead report RUN --open", "the same as a web page to explore, with the network at work in it"),
    ("iterhead verify RUN", "edit the network's attention and probe it: does the circuit do what it seems to?"),
    ("iterhead tasks", "what else there is to learn, and how to bring a task of your own"),
)


def overview() -> str:
    """Return what `iterhead --help` shows."""
    listing = "".join(f"  {command.name:10}{command.summary}\n" for command in COMMANDS)
    return (
        "iterhead trains small transformers on iterative tasks and finds the iteration\n"
        "heads that carry their chain of thought.\n"
        f"\ncommands:\n{listing}"
        f"\nstart here:\n{example_lines(_EXAMPLES)}"
        "\noptions:\n"
        "  -h, --help  of a command too: iterhead run --help\n"
        "  --version   print the version\n"
    )


def find(name: str) -> Command:
    """Return a command by name.

    Raises:
        UserError: there is none; the line names the nearest.
    """
    known = {command.name: command for command in COMMANDS}
    if name in known:
        return known[name]
    if name.startswith("-"):
        near = nearest_option(name.partition("=")[0], ["--help", "--version"])
        hint = f"did you mean {near}?" if near else "options follow the command, as in iterhead run --seed 3"
        raise UserError(f"unknown option {name}: {hint}")
    close = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}"
    raise UserError(f"unknown command {name!r}: {hint}")

"""The commands, and the help that lists them.

To add one: a module beside this one with a `Command` in it, and its place in `COMMANDS`.
"""

from iterhead.cli.bench_command import COMMAND as BENCH
from iterhead.cli.handmade_command import COMMAND as HANDMADE
from iterhead.cli.parsing import Command, example_lines, nearest_option
from iterhead.cli.report_command import COMMAND as REPORT
from iterhead.cli.run_command import COMMAND as RUN
from iterhead.cli.show_command import COMMAND as SHOW
from iterhead.cli.study_command import COMMAND as STUDY
from iterhead.cli.tasks_command import COMMAND as TASKS
from iterhead.cli.transfer_command import COMMAND as TRANSFER
from iterhead.cli.verify_command import COMMAND as VERIFY
from iterhead.errors import UserError, nearest

COMMANDS = (RUN, TRANSFER, SHOW, REPORT, VERIFY, HANDMADE, STUDY, TASKS, BENCH)

_EXAMPLES = (
    ("iterhead run", "train on a polynomial mod 11 and watch the iteration head emerge: a minute"),
    ("iterhead run --data.max-length 8", "the same with shorter sequences: half a minute"),
    ("iterhead show", "list your runs; iterhead show RUN shows one"),
    ("iterhead report RUN --open", "explore a run in the browser, with the network running in the page"),
    ("iterhead verify RUN", "test by interventions and probes that the circuit does what it seems to do"),
    ("iterhead tasks", "list the tasks, and how to add your own"),
)


def overview() -> str:
    """Return what `iterhead --help` shows."""
    commands = "".join(f"  {command.name:10}{command.summary}\n" for command in COMMANDS)
    return (
        "iterhead trains small transformers on iterative tasks and finds the iteration\n"
        "heads that carry their chain of thought.\n"
        f"\ncommands:\n{commands}"
        f"\nstart here:\n{example_lines(_EXAMPLES)}"
        "\noptions:\n"
        "  -h, --help  show this help, or that of a command: iterhead run --help\n"
        "  --version   show the version\n"
    )


def find(name: str) -> Command:
    """Return a command by name.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    by_name = {command.name: command for command in COMMANDS}
    if name in by_name:
        return by_name[name]
    if name.startswith("-"):
        near = nearest_option(name.partition("=")[0], ["--help", "--version"])
        hint = f"did you mean {near}?" if near else "options follow the command, as in iterhead run --seed 3"
        raise UserError(f"unknown option {name}: {hint}")
    hint = nearest(name.lower(), by_name) or f": expected {', '.join(by_name)}"
    raise UserError(f"unknown command {name!r}{hint}")

"""`python -m iterhead` and the program `iterhead`: the command line."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # so that Ctrl-C prints no traceback before `main` handles it

from iterhead.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

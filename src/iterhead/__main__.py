"""`python -m iterhead`: the command line."""

from iterhead.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

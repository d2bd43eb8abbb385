"""Tasks as text: prompts with examples, and where their tokens are. Public names are in `iterhead/__init__.pyi`."""

"""Runs: a config trained into a folder that survives any kill, and is read back as an object."""

"""Training and test sequences, and batches of them packed without padding: a function of task, settings and seed."""

"""Drawings of runs and studies: numbers and an `ax` in, a drawing out.

Nothing here trains, loads or computes statistics, or touches matplotlib's global state.
"""

"""Drawings of runs and studies: numbers and an `ax` in, a drawing out.

Nothing here trains, loads or computes statistics, or touches matplotlib's global state.
"""

import logging

# Without a handler, Python prints warnings: two lines where matplotlib finds no folder for its cache. Import this
# package before matplotlib.
logging.getLogger("matplotlib").addHandler(logging.NullHandler())

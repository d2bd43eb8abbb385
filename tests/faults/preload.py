"""What the fork server imports: every module that a command may need. Nothing is computed, so no thread starts.

Pictures are replaced: drawing them takes most of the time of runs as small as those of the tests, and writes no file.
"""

import contextlib
import gc
import importlib
import pkgutil

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

import iterhead


def draw_nothing(_figure, file, *, format, **_options):
    file.write(f"a picture in {format}".encode() * 20)


mpl.use("agg")
Figure.savefig = draw_nothing
torch.set_num_threads(1)
for module in pkgutil.walk_packages(iterhead.__path__, "iterhead."):
    if not module.name.endswith("__main__"):
        with contextlib.suppress(ImportError):  # transformers may be missing
            importlib.import_module(module.name)
for late in ("matplotlib.pyplot", "matplotlib.backends.backend_pdf"):  # imported when the first figure is drawn
    importlib.import_module(late)

gc.freeze()  # the children share these objects: no collection writes into their pages

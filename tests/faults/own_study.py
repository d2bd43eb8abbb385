"""A study of one run of a fraction of a second, for the command line: `faults.own_study:tiny`."""

from helpers.tiny_study import tiny_config
from iterhead.studies.drawings import HeatMaps, Panel
from iterhead.studies.study import Cell, Study

CELL = Cell({"width": 40, "longest": 4}, tiny_config(epochs=1), (0,))

tiny = Study(
    "tiny",
    "smoke",
    "A tiny study",
    "nothing",
    ("everything",),
    (CELL,),
    (HeatMaps("tiny", "Tiny", "longest", "width", (Panel("Parity", "accuracy"),)),),
)

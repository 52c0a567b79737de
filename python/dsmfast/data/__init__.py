"""Data sets by name, and tables of rows from files.

The named sets come with scikit-learn (extra ``sklearn``) or are generated here. Nothing is
downloaded.
"""

from dsmfast._tables.arrays import map_file
from dsmfast._tables.files import ENDINGS
from dsmfast._tables.table import Table
from dsmfast.data.held_out import split
from dsmfast.data.plane import mixture, mixture_log_density, mixture_score, spiral
from dsmfast.data.reading import load, load_table, read_file
from dsmfast.data.sets import NAMED, SCORES, digits, patches

__all__ = [
    "ENDINGS",
    "NAMED",
    "SCORES",
    "Table",
    "digits",
    "load",
    "load_table",
    "map_file",
    "mixture",
    "mixture_log_density",
    "mixture_score",
    "patches",
    "read_file",
    "spiral",
    "split",
]

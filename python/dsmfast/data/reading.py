"""Tables and rows, by the name of a set or of a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dsmfast._arguments.checks import Array
from dsmfast._tables.files import STDIN, of_array, read
from dsmfast._tables.table import Table, TableOptions, as_names
from dsmfast.data.sets import NAMED

__all__ = ["load", "load_table", "read_file", "table_of"]


def load_table(
    name: str | os.PathLike[str],
    key: str | None = None,
    *,
    columns: Sequence[str] | str | None = None,
    drop: Sequence[str] | str | None = None,
    separator: str | None = None,
    header: str = "auto",
    missing: bool = False,
    features: Sequence[str] | str | None = None,
) -> Table:
    r"""Return a named set, or the table of a file, with the names of its columns.

    Parameters
    ----------
    name : str or path-like
        One of ``NAMED``, a file with one of ``ENDINGS``, or ``-`` for standard input.
    key : str, optional
        Name of the array to read from a .npz file.
    columns, drop : sequence of str, optional
        Columns to read, in this order, or columns to leave out. A single string is split at commas,
        as for ``features``.
        The columns of a table without names are called "0", "1" and so on. With ``features``, a
        column to leave out may be missing.
    separator : str, optional
        Separator of the cells of a text file: a character, ``"tab"``, or ``"blanks"`` for any
        number of spaces and tabs. By default .tsv files have tabs, and for other files the
        separator is inferred from the first two rows.
    header : {"auto", "yes", "no"}
        Whether a text file begins with the names of the columns. With "auto", the first line is a
        header if it contains no number, if it is exactly 0, 1, 2 and so on (which pandas writes for
        a frame without names), or if it contains all of ``features``. If it is none, a line of
        names that begins with "#" directly above it is the header.
    missing : bool
        Whether empty cells of a text file, or "#N/A", become NaN. By default they are an error.
        Missing values of a .parquet file are NaN in any case.
    features : sequence of str, optional
        Names of the features of a model (:attr:`ScoreModel.feature_names`). If the table has names,
        these columns are read in this order, and a missing one is an error.

    Returns
    -------
    Table
        Named tuple of ``values``, ``names`` and ``notes``.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file, or it is a directory.
    ValueError, TypeError
        If the file is invalid. The message says what is wrong, and where.

    Notes
    -----
    The index of a pandas frame is not read. In a .parquet file it is found by the pandas metadata,
    and in all files it consists of the first columns without a name, or with a name like
    "Unnamed: 0.1", which is how pandas writes an index as text. Such columns can be read by giving
    their names, such as "Unnamed: 0", as ``columns``.

    Examples
    --------
    >>> import os, tempfile
    >>> from dsmfast import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("id;height;width\n7;1.5;2\n8;3;4.5\n")
    ...     table = data.load_table(path, drop="id")
    >>> table.names
    ('height', 'width')
    >>> table.values.tolist()
    [[1.5, 2.0], [3.0, 4.5]]
    """
    options = TableOptions(key=key, columns=columns, drop=drop, separator=separator, header=header)
    return table_of(name, options, features=as_names(features, "features"), missing=missing)


def table_of(
    name: str | os.PathLike[str],
    options: TableOptions,
    *,
    features: tuple[str, ...] | None = None,
    missing: bool = False,
) -> Table:
    """Return a table by options that are checked, as :func:`load_table` does by arguments."""
    if isinstance(name, str) and name in NAMED:
        options.check_no_key(name)
        options.check_no_text(name)
        return of_array(NAMED[name](), options, name, features)
    if name != STDIN and not Path(name).suffix and not Path(name).exists():
        raise ValueError(f"{name}: neither one of {', '.join(NAMED)} nor a file")
    return read(name, options, features=features, missing=missing)


def read_file(
    path: str | os.PathLike[str], key: str | None = None, *, missing: bool = False
) -> Array:
    r"""Read the rows of a file, as :func:`load_table` does, without the column names.

    Parameters
    ----------
    path : str or path-like
        File with one of ``ENDINGS``.
    key, missing
        As for :func:`load_table`.

    Returns
    -------
    ndarray
        The rows, in the precision of the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file, or it is a directory.
    ValueError
        If the file is invalid. The message says what is wrong, and where.

    Examples
    --------
    >>> import os, tempfile
    >>> from dsmfast import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("1,2\n3,4\n")
    ...     data.read_file(path).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return read(path, TableOptions(key=key), missing=missing).values


def load(name: str, key: str | None = None, *, missing: bool = False) -> Array:
    """Return the rows of a named set or of a file, as :func:`load_table` does.

    Parameters
    ----------
    name, key, missing
        As for :func:`load_table`.

    Returns
    -------
    ndarray
        The rows, in the precision of the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        As for :func:`load_table`.

    Examples
    --------
    >>> from dsmfast import data
    >>> data.load("mixture").shape
    (5000, 2)
    """
    return table_of(name, TableOptions(key=key), missing=missing).values

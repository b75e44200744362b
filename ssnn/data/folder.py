"""Which data set lies in a folder or a file that people name: four IDX files, an archive of Keras's, or CSV files."""

import os
import re
from pathlib import Path

from ssnn.data import csv_files, four_files, npz
from ssnn.data.parts import FileSet
from ssnn.errors import DataError
from ssnn.system.files import reason

LIKELY = re.compile("mnist|npz|train|test|t10k")  # in the names of files that are looked into
FORMATS = (four_files, npz, csv_files)  # of several, the first is taken
RAW = "raw"  # torchvision's folder for a data set's files: ROOT/MNIST/raw
SHOWN = 3  # names of other files in a folder
WANTED = (
    "MNIST's four IDX files are wanted, gzipped or plain, or an archive like Keras's mnist.npz, or train.csv and "
    "test.csv with the label first"
)


def choose(path: Path) -> FileSet:
    """The data set that a folder holds, or to which a file belongs.

    A folder's own files come first, then those in its `raw`, then those in the `raw` of the folders in it, as
    torchvision has them; of these, four IDX files come first, then an archive, then CSV files.

    Raises
    ------
    DataError
        If there is none, or there are several of one kind.
    """
    if os.path.isfile(path):
        return _choose_file(path)
    incomplete: list[FileSet] = []
    for places in _places(path):
        likely = [(place, _likely(place)) for place in places]
        for kind in FORMATS:
            sets = [files for place, paths in likely for files in kind.find(place, paths)]
            if complete := [files for files in sets if files.is_complete]:
                return _only(complete, path)
            incomplete += sets
    if incomplete:
        return incomplete[0]
    raise DataError(f"{path}: {_what_is_there(path)}; {WANTED}")


def data_files(path: Path) -> list[Path]:
    """The files of all data sets in a folder, or of that to which a file belongs; those that cannot be read too."""
    if os.path.isfile(path):
        return [path, *(other for files in _sets(path.parent) for other in files.paths)]
    return [file for places in _places(path) for place in places for files in _sets(place) for file in files.paths]


def _choose_file(path: Path) -> FileSet:
    for files in _sets(path.parent, path):
        if path in files.paths:
            return files
    if npz.is_archive(path):
        return npz.archive_of(path)
    if csv_files.is_text(path):
        return csv_files.file_set(path.parent, "", train=path)
    raise DataError(f"{path}: not a file of digits that is known; {WANTED}")


def _only(sets: list[FileSet], path: Path) -> FileSet:
    if len(sets) > 1:
        firsts = ", ".join(str(files.paths[0].relative_to(path)) for files in sets)
        raise DataError(f"{path}: several data sets, with the files {firsts}; name one of these instead of the folder")
    return sets[0]


def _sets(folder: Path, *others: Path) -> list[FileSet]:
    """The data sets in a folder, whole or not; its likely files are looked into, and these others."""
    paths = {*_likely(folder), *others}
    return [files for kind in FORMATS for files in kind.find(folder, paths)]


def _places(folder: Path) -> list[list[Path]]:
    """The folders that are looked into, those together that come at the same turn."""
    inner = [folder / name / RAW for name in _names(folder)]
    return [[folder], [folder / RAW], [path for path in inner if os.path.isdir(path)]]


def _likely(folder: Path) -> list[Path]:
    """The files of a folder whose names promise data; of a folder in it, the file that has its name."""
    paths = [folder / name for name in _names(folder) if LIKELY.search(name.lower())]
    return [path / path.name if os.path.isfile(path / path.name) else path for path in paths]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError):
        return []


def _what_is_there(folder: Path) -> str:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return "there is no such folder"
    except NotADirectoryError:
        return "neither a folder nor an ordinary file"
    except (OSError, ValueError) as error:
        return f"cannot be read ({reason(error)})"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"the folder holds only {', '.join(names[:SHOWN])}{more}" if names else "the folder is empty"

"""Data sets in four IDX files, as MNIST, QMNIST and EMNIST have them, under their usual names."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ssnn.data import idx
from ssnn.data.parts import FileSet, Part, half_of, make_part
from ssnn.errors import DataError

ROLES = (("train", "images"), ("train", "labels"), ("test", "images"), ("test", "labels"))
Found = dict[tuple[str, str], list[Path]]  # the files of each role; the first of them is read


def find(folder: Path, paths: Iterable[Path]) -> list[FileSet]:
    """The data sets, whole or not, in these files of a folder.

    A file is one of four if its bytes say so, or if its name does: then reading it says what is wrong with it. Of
    several that have one role, the gzipped one is read, else that with the shortest name.
    """
    sets: dict[str, Found] = {}
    for path in sorted(paths, key=lambda path: (path.suffix != ".gz", len(path.name), path.name)):
        name = path.name.lower()
        half = half_of(name)
        if half is None:
            continue
        kind = idx.kind_of(path)
        if kind or "idx" in name:
            kind = next((word for word in ("images", "labels") if word in name), kind)
        if kind:
            sets.setdefault(half[0], {}).setdefault((half[1], kind), []).append(path)
    return [
        FileSet(
            f"four IDX files{f', {name}' if name else ''}",
            tuple(path for role in ROLES for path in found.get(role, [])),
            partial(_read, folder, name, found),
            is_complete=len(found) == len(ROLES),
        )
        for name, found in sets.items()
    ]


def _read(folder: Path, name: str, found: Found) -> tuple[Part, Part]:
    for half, kind in ROLES:
        if (half, kind) not in found:
            there = ", ".join(paths[0].name for paths in found.values())
            raise DataError(
                f"{folder / _usual_name(name, half, kind)}: missing, gzipped or plain; of the four IDX files, there is "
                f"only {there}"
            )
    return _read_part(name, "train", found), _read_part(name, "test", found)


def _read_part(name: str, half: str, found: Found) -> Part:
    images, labels = found[half, "images"][0], found[half, "labels"][0]
    return make_part(name, idx.read_images(images), idx.read_labels(labels), images, labels)


def _usual_name(name: str, half: str, kind: str) -> str:
    prefix = f"{name}-{half}" if name else {"train": "train", "test": "t10k"}[half]
    return f"{prefix}-{kind}-idx{3 if kind == 'images' else 1}-ubyte.gz"

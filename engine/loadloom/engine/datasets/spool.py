"""Curves that come once and are gone over more than once: kept in a file until then."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from loadloom.engine.datasets.temporary import Folder
from loadloom.models.agency.curves import Chunk


@dataclass(frozen=True, slots=True)
class Kept:
    """A chunk in a file: its arrays one after the other, and what else it has."""

    path: Path
    offset: int
    rest: Chunk
    dtype: np.dtype
    slot_count: int

    def chunks(self) -> Iterator[Chunk]:
        """The chunk."""
        rest, shape = self.rest, (self.rest.user_count, self.slot_count)
        values = int(np.prod(shape))
        with self.path.open("rb") as file:
            file.seek(self.offset)
            load_kw = np.fromfile(file, self.dtype, values).reshape(shape)
            marks = None
            if rest.marks is not None:
                marks = np.fromfile(file, np.uint8, values).reshape(shape)
        yield Chunk(
            load_kw=load_kw,
            group=rest.group,
            group_names=rest.group_names,
            names=rest.names,
            marks=marks,
            first_row=rest.first_row,
            source=rest.source,
        )


class Spool:
    """A file of chunks, which is deleted at the end.

    Of a chunk its names and areas stay in memory, and its curves do not.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Folder(folder)
        self._path = self._folder.path / "curves"
        self._file = self._path.open("wb")
        self._kept: list[Kept] = []

    def add(self, chunk: Chunk) -> None:
        """Keeps a chunk."""
        count, slots = chunk.load_kw.shape
        rest = Chunk(
            load_kw=np.zeros((count, 0)),
            group=chunk.group,
            group_names=chunk.group_names,
            names=chunk.names,
            marks=None if chunk.marks is None else chunk.marks[:, :0],
            first_row=chunk.first_row,
            source=chunk.source,
        )
        kept = Kept(self._path, self._file.tell(), rest, chunk.load_kw.dtype, slots)
        chunk.load_kw.tofile(self._file)
        if chunk.marks is not None:
            chunk.marks.tofile(self._file)
        self._kept.append(kept)

    def parts(self) -> list[Kept]:
        """The chunks as parts, for as long as the spool is open."""
        self._file.flush()
        return list(self._kept)

    def close(self) -> None:
        """Deletes the file."""
        self._file.close()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

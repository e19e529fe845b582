"""The sites and nodes of a fleet, read from their messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import Message

from loadloom.engine.answers.files import Files
from loadloom.engine.convert.batches import REQUIRED
from loadloom.engine.convert.data_sets import data_set
from loadloom.engine.datasets.roots import Roots
from loadloom.models.checks import MAGNITUDE, Checks, InvalidProblem, Violation
from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.fleet.problem import Network, NodeArray
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.wire.arrays import from_series
from loadloom.wire.columns import SITE_MATRICES

DATA_SETS = {"load_kw": "load_data_set", "pv_kw": "pv_data_set"}
"""The matrices that files may have, and the fields that name the files."""

NO_LIMIT = np.full((1, 1), np.inf)

_STAND_INS = {name: np.full((1, 1), MAGNITUDE if "max" in name else 0.0) for name in REQUIRED}
"""What stands for a matrix that is missing or at fault, so that the others can be checked."""

_CELL = re.compile(r"^(\w+)\[(\d+),(\d+)\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """The sites of a request, as far as they are not in files.

    Attributes:
        batch: the sites; None if they are at fault. What files have is zero.
        nodes: the number of the node of each.
        names: their names, if they have any.
        files: where the loads and forecasts are that the request does not have, by matrix.
    """

    batch: Batch | None
    nodes: NodeArray
    names: tuple[str, ...]
    files: dict[str, Files]


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads the columns of sites; what is at fault is noted with its path below `sites`.

    Attributes:
        message: the sites.
        found: the violations.
        matrices: what was read.
        rows: the row of each site in matrices whose rows are shared.
        faulty: the matrices that could not be read.
    """

    message: pb.FleetSites
    found: list[Violation]
    matrices: dict[str, FloatArray] = field(default_factory=dict)
    rows: dict[str, NodeArray] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        """The number of sites."""
        return self.message.columns.site_count

    def note(self, path: str, message: str) -> None:
        """Notes a violation."""
        self.found.append(Violation(f"sites.{path}", message))

    def read(self) -> None:
        """Reads all matrices, and what is shared of them."""
        for name in SITE_MATRICES:
            if given(self.message.columns, name):
                self._matrix(name, getattr(self.message.columns, name))
        seen: dict[str, int] = {}
        for index, shared in enumerate(self.message.shared_rows):
            path, name = f"shared_rows[{index}]", shared.matrix
            if name not in SITE_MATRICES:
                self.note(f"{path}.matrix", f"{name!r} is no matrix of SiteBatch")
            elif seen.setdefault(name, index) != index:
                self.note(f"{path}.matrix", f"{name!r} is that of shared_rows[{seen[name]}] too")
            elif name in self.matrices:
                self._share(path, name, shared)
            elif name not in self.faulty:
                self.note(f"{path}.matrix", f"the columns have no {name}")

    def _matrix(self, name: str, matrix: common_pb2.Matrix) -> None:
        values = from_series(matrix.values)
        if values.size == matrix.rows * matrix.cols:
            self.matrices[name] = values.reshape(matrix.rows, matrix.cols)
            return
        wanted = f"must have {matrix.rows} x {matrix.cols}"
        self.note(f"columns.{name}.values", f"has {values.size} values; {wanted}")
        self.faulty.add(name)

    def _share(self, path: str, name: str, shared: pb.SharedRows) -> None:
        """Gives each site its row of a matrix, times its factor."""
        matrix = self.matrices.pop(name)
        self.faulty.add(name)
        if not matrix.shape[0]:
            self.note(f"columns.{name}.rows", "is 0; must be the number of shared rows")
            return
        rows = np.array(shared.rows or (0,), np.int64)
        factors = from_series(shared.factors) if shared.HasField("factors") else np.ones(1)
        before = len(self.found)
        for kind, values in (("rows", rows), ("factors", factors)):
            if values.size not in {1, self.count}:
                said = f"has {values.size} values; must have {_either(self.count)}"
                self.note(f"{path}.{kind}", said)
        if (beyond := np.flatnonzero(rows >= matrix.shape[0])).size:
            more = f" (and {beyond.size - 1} more)" if beyond.size > 1 else ""
            said = f"is {rows[beyond[0]]}{more}; must be a row from 0 to {matrix.shape[0] - 1}"
            self.note(f"{path}.rows[{beyond[0]}]", said)
        checks = Checks()
        checks.numbers(f"sites.{path}.factors", factors, low=0.0)
        self.found.extend(checks.violations)
        if len(self.found) > before:
            return
        self.faulty.discard(name)
        self.rows[name] = np.broadcast_to(rows, max(rows.size, factors.size))
        with np.errstate(invalid="ignore"):  # no limit, zero times: not a number, and refused
            self.matrices[name] = matrix[rows] * factors[:, np.newaxis]

    def batch(self, horizon: Horizon) -> Batch | None:
        """The sites, or None if they are at fault."""
        missing = {name for name in REQUIRED if name not in self.matrices} - self.faulty
        for name in REQUIRED:
            if name in missing:
                self.note(f"columns.{name}", "value is required")
        stand_ins = {name: _STAND_INS[name] for name in REQUIRED if name not in self.matrices}
        try:
            batch = Batch(horizon=horizon, site_count=self.count, **{**self.matrices, **stand_ins})
        except InvalidProblem as error:
            self.found.extend(map(self._renamed, error.violations))
            return None
        return None if self.faulty or missing else batch

    def _renamed(self, violation: Violation) -> Violation:
        """The violation at its place in the message; of shared rows that of the row."""
        path, message = violation.path, violation.message
        cell = _CELL.match(path)
        if cell and cell[1] in self.rows:
            rows, site = self.rows[cell[1]], int(cell[2])
            path = f"{cell[1]}[{rows[site]},{cell[3]}]"
            message = f"times its factor {message}, for site {site}"
        return Violation(f"sites.columns.{path}", message)


def read(message: pb.FleetSites, horizon: Horizon, roots: Roots, found: list[Violation]) -> Sites:
    """The sites of a fleet; what is at fault is noted."""
    reader = _Reader(message=message, found=found)
    reader.read()
    files = _files(message, roots, found)
    for name in files:
        if reader.matrices.pop(name, None) is not None or name in reader.faulty:
            reader.note(DATA_SETS[name], f"{name} is among the columns already")
    batch = reader.batch(horizon)
    count = reader.count
    names = tuple(message.names)
    if len(names) != count and (names or files):
        other = "" if files else "none or "
        reader.note("names", f"has {len(names)} values; must have {other}{count}")
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            reader.note(f"names[{index}]", f"{name!r} is also the name of site {first[name]}")
            break
    nodes = np.array(message.nodes or (0,), np.int64)
    if nodes.size not in {1, count}:
        reader.note("nodes", f"has {nodes.size} values; must have {_either(count)}")
        nodes = np.zeros(1, np.int64)
    if nodes.size == 1:
        nodes = np.full(count, nodes[0])
    return Sites(batch=batch, nodes=nodes, names=names, files=files)


def given(message: Message, name: str) -> bool:
    """Whether a message has a field of that name."""
    return message.HasField(name)


def _files(message: pb.FleetSites, roots: Roots, found: list[Violation]) -> dict[str, Files]:
    files = {}
    for name, path in DATA_SETS.items():
        if given(message, path):
            its: list[Violation] = []
            named = data_set(getattr(message, path), roots, its)
            found.extend(of_data_set(path, violation) for violation in its)
            if named is not None:
                files[name] = named
    return files


def of_data_set(path: str, violation: Violation) -> Violation:
    """The violation of a data set at its place in the message."""
    rest = violation.path.removeprefix("data_set")
    if rest == violation.path:  # a file, by root and path
        return Violation(f"sites.{path}", str(violation))
    return Violation(f"sites.{path}{rest}", violation.message)


def network(
    messages: Sequence[pb.FleetNode], horizon: Horizon, found: list[Violation]
) -> Network | None:
    """The nodes of a fleet; None if there are none, and what is at fault is noted."""
    if not messages:
        return None
    names = [message.name for message in messages]
    place = {name: index for index, name in reversed(list(enumerate(names)))}
    parents = np.full(len(names), -1, np.int64)
    limits = {name: np.full((len(names), horizon.count), np.inf) for name in ("import", "export")}
    breach = np.full(len(names), np.inf)
    for index, message in enumerate(messages):
        if message.parent in place:
            parents[index] = place[message.parent]
        elif message.parent:
            said = f"{message.parent!r} is the name of no node"
            found.append(Violation(f"nodes[{index}].parent", said))
        for name, limit in limits.items():
            field_name = f"{name}_limit_kw"
            if given(message, field_name):
                values = from_series(getattr(message, field_name))
                if values.size in {1, horizon.count}:
                    limit[index] = values
                else:
                    said = f"has {values.size} values; must have {_either(horizon.count)}"
                    found.append(Violation(f"nodes[{index}].{field_name}", said))
        if message.HasField("breach_price_per_kwh"):
            breach[index] = message.breach_price_per_kwh
    return Network(
        names=tuple(names),
        parents=parents,
        import_limit_kw=limits["import"],
        export_limit_kw=limits["export"],
        breach_price_per_kwh=breach,
    )


def _either(count: int) -> str:
    """The numbers of values that stand for all of so many."""
    return "1" if count == 1 else f"1 or {count}"

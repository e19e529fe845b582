"""Writes the Python stubs of the protos, checks that they are up to date, or hands them to buf.

    python proto/generate.py           write the stubs beside their protos
    python proto/generate.py --check   fail if the stubs differ from what would be written
    python proto/generate.py --lint    run buf's STANDARD and COMMENTS rules

The rules in the protos need `buf/validate/validate.proto`. Its descriptor comes from the installed
protovalidate package, so no copy of it lives here, and the stubs are written without the import:
the rules stay in the descriptors, where the server's validator finds them, and a client needs no
validator to be installed.
"""

import argparse
import filecmp
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.longrunning import operations_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent
WELL_KNOWN = str(files("grpc_tools") / "_proto")
GOOGLE_RPC = str(Path(str(files("google.rpc").joinpath("status.proto"))).parents[2])
VALIDATE = "buf/validate/validate.proto"
RULES = '{"version":"v2","lint":{"use":["STANDARD","COMMENTS"],"ignore":["buf","google"]}}'


def protos() -> list[str]:
    """The protos of the project, relative to this folder."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("loadloom/**/*.proto"))


def run_protoc(*arguments: str) -> None:
    """Runs protoc, and stops with its exit code if it fails."""
    if code := protoc.main(["protoc", *arguments]):
        sys.exit(code)


def compiled(folder: Path) -> Path:
    """The descriptor set of the project's protos and all they import, with comments."""
    imports = folder / "imports.binpb"
    run_protoc(
        f"-I{WELL_KNOWN}",
        f"-I{GOOGLE_RPC}",
        "--include_imports",
        f"--descriptor_set_out={imports}",
        "google/protobuf/descriptor.proto",
        "google/protobuf/duration.proto",
        "google/protobuf/field_mask.proto",
        "google/protobuf/timestamp.proto",
        "google/rpc/status.proto",
    )
    known = FileDescriptorSet.FromString(imports.read_bytes())
    known.file.append(FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary()))
    add_loaded(operations_pb2.DESCRIPTOR, known)
    imports.write_bytes(known.SerializeToString())
    whole = folder / "whole.binpb"
    run_protoc(
        f"-I{ROOT}",
        f"--descriptor_set_in={imports}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={whole}",
        *protos(),
    )
    return whole


def add_loaded(file: FileDescriptor, known: FileDescriptorSet) -> None:
    """Adds a loaded proto and all it imports; its source lies under another name than its own."""
    if file.name in {one.name for one in known.file}:
        return
    for imported in file.dependencies:
        add_loaded(imported, known)
    file.CopyToProto(known.file.add())


def without_validate(whole: Path) -> Path:
    """The descriptor set without the import of the validation rules; the rules themselves stay."""
    kept = FileDescriptorSet()
    for file in FileDescriptorSet.FromString(whole.read_bytes()).file:
        if file.name != VALIDATE:
            public = {file.dependency[place] for place in file.public_dependency}
            names = [name for name in file.dependency if name != VALIDATE]
            del file.dependency[:], file.public_dependency[:]
            file.dependency.extend(names)
            file.public_dependency.extend(names.index(name) for name in sorted(public))
            kept.file.append(file)
    path = whole.with_name("kept.binpb")
    path.write_bytes(kept.SerializeToString())
    return path


def write_stubs(target: Path) -> None:
    """Writes the stubs of every proto below the folder `target`."""
    with tempfile.TemporaryDirectory() as folder:
        kept = without_validate(compiled(Path(folder)))
        run_protoc(
            f"--descriptor_set_in={kept}",
            f"--python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--grpc_python_out={target}",
            f"--mypy_grpc_out=quiet:{target}",
            *protos(),
        )


def stale() -> list[str]:
    """The stubs that differ from what would be written now."""
    with tempfile.TemporaryDirectory() as folder:
        write_stubs(Path(folder))
        fresh = {str(p.relative_to(folder)) for p in Path(folder).rglob("*.py*")}
        present = {str(p.relative_to(ROOT)) for p in ROOT.glob("loadloom/**/*_pb2*.py*")}
        present = {name for name in present if "__pycache__" not in name}
        differ = fresh ^ present
        for name in fresh & present:
            if not filecmp.cmp(Path(folder) / name, ROOT / name, shallow=False):
                differ.add(name)
    return sorted(differ)


def lint() -> int:
    """The exit code of buf's linter over the project's protos."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["buf", "lint", str(compiled(Path(folder))), "--config", RULES]
        return subprocess.run(command, check=False).returncode


def main() -> int:
    """The exit code of what the command line asks for."""
    parser = argparse.ArgumentParser(description="Writes, checks or lints the stubs.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--lint", action="store_true")
    arguments = parser.parse_args()
    if arguments.lint:
        return lint()
    if arguments.check:
        names = stale()
        for name in names:
            print(f"proto/{name} is out of date; run `make proto`", file=sys.stderr)
        return 1 if names else 0
    write_stubs(ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())

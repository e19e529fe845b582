"""Files that are named after users, one for each."""

from pathlib import Path


def user_file(folder: Path, user: str, suffix: str, taken: set[str]) -> Path:
    """A file of a user in a folder, whose name becomes one of those that are taken.

    Signs that no disk allows in a name are replaced, so that several users may come to one name.
    """
    name = "".join(c if c.isalnum() or c in " ._-" else "-" for c in user).strip(" .") or "user"
    file, number = f"{name}{suffix}", 1
    while file.lower() in taken:  # as on disks that do not tell capitals apart
        number += 1
        file = f"{name} {number}{suffix}"
    taken.add(file.lower())
    return folder / file

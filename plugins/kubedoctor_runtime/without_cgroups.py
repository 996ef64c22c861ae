"""Run runc with the cgroup taken out of the bundle: for a user namespace whose cgroups cannot be written.

Not imported: it is written beside runc with the path of that one filled in, and run by the shim in runc's place.
"""

import json
import os
import sys

REAL = "RUNC"  # filled in when it is written


def bundle(words: list[str]) -> str:
    """Return the directory of the container to be made."""
    for position, word in enumerate(words):
        if word in ("--bundle", "-b") and position + 1 < len(words):
            return words[position + 1]
        if word.startswith("--bundle="):
            return word.partition("=")[2]
    return "."


def take_out(path: str) -> None:
    """Write the specification without its cgroup and its limits."""
    with open(path) as file:  # noqa: PTH123 - pathlib costs 10 ms for each container
        specification = json.load(file)
    for name in ("cgroupsPath", "resources"):
        specification.get("linux", {}).pop(name, None)
    with open(f"{path}.new", "w") as file:  # noqa: PTH123
        json.dump(specification, file)
    os.replace(f"{path}.new", path)  # noqa: PTH105


if __name__ == "__main__":
    if "create" in sys.argv or "run" in sys.argv:
        take_out(os.path.join(bundle(sys.argv), "config.json"))  # noqa: PTH118
    os.execv(REAL, [REAL, *sys.argv[1:]])  # noqa: S606 - no shell is wanted

"""Builds all functions with sam build, from two folders, and compares the bytes."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import scanners
import stack as stacks

VERSION = "0.0.0-twice"
# In an ELF header: the machine.
MACHINES = {"arm64": b"\xb7\x00", "x86_64": b"\x3e\x00"}
GO_ARCH = {"arm64": "arm64", "x86_64": "amd64"}


def copy_source(target):
    """Copies the repository, without what is made in it: tools/dist is source."""
    made = {".git", ".venv", ".bin", ".aws-sam", "build", "dist"}
    shutil.copytree(stacks.ROOT, target, ignore=lambda folder, names: made if Path(folder) == stacks.ROOT else set())


def sam_build(folder, architecture):
    """The functions' programs by their names in the template."""
    environment = scanners.environment() | {"VERSION": VERSION, "ARCH": GO_ARCH[architecture]}
    done = subprocess.run([scanners.BIN / "sam", "build", "--parameter-overrides", f"Architecture={architecture}"],
                          cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"sam build ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return {path.parent.name: path for path in sorted((folder / ".aws-sam" / "build").glob("*/bootstrap"))}


def faults():
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        folders = [Path(one) / "source", Path(two) / "another" / "much longer" / "folder"]
        for folder in folders:
            copy_source(folder)
        for architecture in MACHINES:
            first, second = (sam_build(folder, architecture) for folder in folders)
            if set(first) != {"ApiFunction", "EventFunction", "WindowApiFunction", "WindowFunction"}:
                yield f"{architecture}: sam build makes {sorted(first)}"
            for name, path in first.items():
                program, other = path.read_bytes(), second[name].read_bytes()
                if program != other:
                    yield f"{architecture} {name}: {hashlib.sha256(program).hexdigest()} from one folder, {hashlib.sha256(other).hexdigest()} from another"
                if program[:4] != b"\x7fELF" or program[18:20] != MACHINES[architecture]:
                    yield f"{name} is no program for {architecture}"
                if VERSION.encode() not in program:
                    yield f"{architecture} {name} does not know its version"
                if b".symtab\0" in program or b".debug_info" in program or b".zdebug_info" in program:
                    yield f"{architecture} {name} is not stripped"
                if not os.access(path, os.X_OK):
                    yield f"{architecture} {name} cannot be executed"
                if (extra := [one.name for one in path.parent.iterdir() if one != path]):
                    yield f"{architecture} {name}: beside the program, there is {extra}"

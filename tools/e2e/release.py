"""A release, deployed as docs/release.md says: in a folder that has nothing but its
files, by a shell that finds the SAM CLI and no toolchain.
"""

import re
import subprocess

import stack as stacks
from deployed import Deployed
from surroundings import MACHINE, VENV
from table import Failure, require

NAME = "segura-release"


class Release:
    """It is made while other steps wait for the emulator."""

    def __init__(self, around):
        self.around, self.folder = around, around.folder / "release"
        self.making = subprocess.Popen(["make", "dist", "VERSION=0.0.0-e2e", f"DIST_DIR={self.folder}"], cwd=around.source, env=around.variables(),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        around.processes.append(self.making)

    def drive(self, table):
        said = self.making.communicate(timeout=300)[0]
        if self.making.returncode:
            raise Failure(said[-2500:])
        with table.step("a release is deployed without a toolchain") as row:
            path = self.around.folder / "path"
            path.mkdir()
            (path / "sam").symlink_to(VENV / "bin" / "sam")
            (self.folder / "parameters.yaml").write_text(f"Architecture: {MACHINE}\nApiEnabled: 'false'\nDashboardEnabled: 'false'\n")
            done = subprocess.run(["/bin/sh", "-e"], input=command(), cwd=self.folder, env=self.around.variables() | {"PATH": str(path)}, text=True, capture_output=True)
            if done.returncode:
                raise Failure((done.stdout + done.stderr)[-2500:])
            stack = Deployed(self.around, NAME)
            self.around.client("secretsmanager").put_secret_value(SecretId=stack.outputs()["SecretArn"], SecretString=self.around.secret)
            require("its call", stack.invoke("EventFunction", {"identifier": 77})["results"], [{"identifier": 77, "outcome": "enabled", "attempts": 1}])
            require("its version", {line["version"] for line in stack.lines("EventFunction") if line.get("message") == "starting"}, {"0.0.0-e2e"})
            stack.cloudformation.delete_stack(StackName=NAME)
            row.ended = stack.stack()["StackStatus"] + ", and 77 enabled"


def command():
    """The page's first command, for this machine and a stack of this name."""
    text = (stacks.ROOT / "docs" / "release.md").read_text("utf-8")
    found = re.search(r"(?ms)^```\n(sam deploy .*?)^```$", text).group(1)
    machine = {"x86_64": "amd64"}.get(MACHINE, MACHINE)
    return found.replace("template-arm64", f"template-{machine}").replace("--stack-name segura-enable", f"--stack-name {NAME} --no-confirm-changeset --region eu-west-1")

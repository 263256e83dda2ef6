"""Deploys the template to MiniStack, an emulator of AWS that is not ours, as the README
says, and uses what comes of it as an operator and callers do.

e2e.py PYTHON: the Python that has ministack. adaptations.py has what is changed for the
emulator, limits.py what it cannot do.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sam"))

import api
import events
import limits
import readme
import windows
from deployed import Deployed
from release import Release
from surroundings import Surroundings
from table import Failure, Table, eventually, require


def update(table, main):
    with table.step("one parameter is updated") as row:
        row.ended = main.update(MaxAttempts="2")
        variables = main.lambdas.get_function_configuration(FunctionName=main.resource("EventFunction"))["Environment"]["Variables"]
        require("the update", (row.ended, variables["SEGURA_MAX_ATTEMPTS"], variables["SEGURA_ATTEMPT_TIMEOUT"]), ("UPDATE_COMPLETE", "2", "1s"))


class Deletion:
    """make delete, of a stack with a window open. The SAM CLI looks only every half
    minute whether it is done, so it is asked for late."""

    def __init__(self, around, stack):
        self.stack, self.windows = stack, stack.resource("WindowsTable")
        require("windows before", len(stack.live()), 1)
        self.process = subprocess.Popen(["make", "delete", "STACK=" + stack.name, "SAM_FLAGS=--no-prompts --region eu-west-1"], cwd=around.source, env=around.variables(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        around.processes.append(self.process)

    def drive(self, table):
        with table.step("make delete, with a window open") as row:
            said = self.process.communicate(timeout=120)[0]
            if self.process.returncode:
                raise Failure(said[-2500:] + "\n".join(self.stack.faults()))
            gone(self.stack, self.windows)
            row.ended = "gone; the table stays, and no window is open in it"


def gone(stack, windows_table):
    left = [one["StackName"] for one in stack.cloudformation.list_stacks()["StackSummaries"] if one["StackStatus"] != "DELETE_COMPLETE"]
    require("the stack is among those left", stack.name in left, False)
    require("windows open in its table, which stays", stack.live(windows_table), [])


def delete(table, main):
    with table.step("the stack with everything in it is deleted") as row:
        windows_table = main.resource("WindowsTable")
        main.invoke("WindowFunction", {"window": {"identifiers": [65], "for": "PT1H"}})
        arn = main.stack()["StackId"]
        main.cloudformation.delete_stack(StackName=main.name)
        row.ended = eventually("the deletion", lambda: (status := main.cloudformation.describe_stacks(StackName=arn)["Stacks"][0]["StackStatus"]) != "DELETE_IN_PROGRESS" and status)
        require("the deletion", (row.ended, main.faults() if row.ended != "DELETE_COMPLETE" else []), ("DELETE_COMPLETE", []))
        gone(main, windows_table)


def go_through(table, around):
    main, release = Deployed(around, "segura-enable"), Release(around)
    readme.deploy(table, around)
    # What takes its time, which the rest of this fills.
    stubborn = windows.Stubborn(table, around, main)
    schedules = events.Schedules(around, main)
    beyond = limits.Limits(around, main)
    readme.deploy_again(table, around, main)
    events.samples(table, around, main)
    api.drive(table, around, main)
    api.function_url(table, around, main)
    events.bus(table, around, main)
    events.bulk(table, around, main)
    events.queue(table, around, main)
    windows.drive(table, around, main)
    release.drive(table)
    update(table, main)
    beyond.drive(table)
    schedules.drive(table, "at")
    deletion = Deletion(around, schedules.stacks["at", "windows"])
    schedules.drive(table, "rate")
    stubborn.drive(table)
    deletion.drive(table)
    events.log(table, main)
    windows.switch_off(table, main)
    delete(table, main)


def main(python):
    folder = Path(tempfile.mkdtemp(prefix="segura-e2e"))
    table, around = Table(), Surroundings(folder)
    try:
        around.start(python)
        go_through(table, around)
    finally:
        around.close()
        well = table.close()
        if not well:
            print((folder / "ministack.log").read_text("utf-8", "replace")[-3000:])
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

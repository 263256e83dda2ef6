"""Deploys the template to MiniStack, an emulator of AWS that is not ours, as the README
says, and uses what comes of it as an operator and callers do.

e2e.py PYTHON: the Python that has ministack. adaptations.py has what is changed for the
emulator, limits.py what it cannot do.
"""

import shutil
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
from surroundings import Surroundings
from table import Failure, Table, eventually, require


def update(table, main):
    with table.step("one parameter is updated") as row:
        row.ended = main.update(MaxAttempts="2")
        variables = main.lambdas.get_function_configuration(FunctionName=main.resource("EventFunction"))["Environment"]["Variables"]
        require("the update", (row.ended, variables["SEGURA_MAX_ATTEMPTS"], variables["SEGURA_ATTEMPT_TIMEOUT"]), ("UPDATE_COMPLETE", "2", "1s"))


def delete(table, around, main):
    with table.step("make delete, with a window open") as row:
        windows_table = main.resource("WindowsTable")
        main.invoke("WindowFunction", {"window": {"identifiers": [65], "for": "PT1H"}})
        status, said, errors = readme.run(around, "make delete SAM_FLAGS='--no-prompts --region eu-west-1' </dev/null", **around.variables())
        if status:
            raise Failure((said + errors)[-2500:] + "\n".join(main.faults()))
        require("stacks of that name", [one for one in stacks(main) if one == main.name], [])
        require("windows open in the table, which stays", main.live(windows_table), [])
        row.ended = "gone; the table stays, and no window is open in it"


def stacks(main):
    return [one["StackName"] for one in main.cloudformation.list_stacks()["StackSummaries"] if one["StackStatus"] != "DELETE_COMPLETE"]


def go_through(table, around):
    main = Deployed(around, "segura-enable")
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
    update(table, main)
    beyond.drive(table)
    schedules.drive(table)
    stubborn.drive(table)
    events.log(table, main)
    windows.switch_off(table, main)
    delete(table, around, main)


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

"""The section Deploy of the README, line by line: what it says to write is written, and
what it says to run is run, in one shell, in a copy of the repository.
"""

import json
import re
import subprocess

import stack as stacks
from surroundings import MACHINE, OPERATOR
from table import Failure, require

# What the README leaves at its default and cannot be so here.
ADDED = {"Architecture": MACHINE, "WindowsEnabled": "true", "AlarmEmail": "operations@example.com", "AttemptTimeout": "1s", "MaxAttempts": "1"}

RICH = """\
# true, an object and a blank without quotes, and a value that is emptied; what is not here stays.
BulkEnabled: true
FunctionUrlEnabled: true
EventPattern: {"source": ["com.example.change-management"], "detail": {"change": {"number": [{"exists": true}]}}}
ScheduleExpression: rate(1 minute)
ScheduleIdentifiers: [201, 202]
AlarmEmail: ''
MaxCallsPerSecond: 50
AllowedIdentifiers: 1-999
DefaultIdentifiers: 100-102
"""


def blocks():
    """Language and text of each block of code in the section."""
    section = re.search(r"(?ms)^## Deploy$(.*?)^## ", (stacks.ROOT / "README.md").read_text("utf-8")).group(1)
    return re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", section)


def run(around, script, **environment):
    """Runs lines in a shell. Nobody is at its terminal."""
    done = subprocess.run(["bash", "-e", "-o", "pipefail"], input=script, cwd=around.source, env=environment, text=True, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def deploy(table, around):
    """Runs the README. The shell's variables go from one block to the next."""
    files, kept = {"yaml": ("parameters.yaml", parameters), "json": ("segura.json", credentials)}, ""
    for language, text in blocks():
        if language:
            name, write = files.pop(language)
            (around.source / name).write_text(write(around, text))
            continue
        call = "curl" in text
        with table.step("README: " + text.splitlines()[0].split("  #")[0][:48]) as row:
            environment = around.variables(around.operations if call else OPERATOR)
            status, said, errors = run(around, f"{kept}{{\n{text}}} </dev/null\ndeclare -p API_URL >variables 2>/dev/null || true\n", **environment)
            if status:
                raise Failure((said + errors)[-2500:])
            kept, row.ended = (around.source / "variables").read_text(), said.strip().splitlines()[-1][-60:]
            if call:
                require("the reply", json.loads(said), {"identifier": 5, "outcome": "enabled", "attempts": 1})
    require("files that the README does not say to write", files, {})


def parameters(around, text):
    return text + "".join(f"{name}: {value}\n" for name, value in ADDED.items())


def credentials(around, text):
    require("fields that the AWS secret does not have", sorted(set(json.loads(text)) - set(json.loads(around.secret))), [])
    return around.secret


def deploy_again(table, around, main):
    """Another file, the other variable of the region, no terminal, tags, and no ARCH."""
    for what, words in {"ARCH=mips": "ARCH is arm64 or amd64", "PARAMETERS=none.yaml": "there is no file none.yaml"}.items():
        with table.step(f"make deploy {what}") as row:
            status, said, errors = run(around, "rm -rf .aws-sam; make deploy " + what, **around.variables())
            if status == 0 or words not in errors or (around.source / ".aws-sam").exists():
                raise Failure(said + errors)
            row.ended = "refused before anything was built"
    with table.step("make deploy PARAMETERS=rich.yaml, everything switched on") as row:
        (around.source / "rich.yaml").write_text(RICH)
        status, said, errors = run(around, "make deploy PARAMETERS=rich.yaml SAM_FLAGS='--tags team=pam' </dev/null", **around.variables(region="AWS_DEFAULT_REGION"))
        if status:
            raise Failure((said + errors)[-2500:] + "\n".join(main.faults()))
        row.ended = main.stack()["StackStatus"]
        got = main.parameters()
        wanted = {"WindowsEnabled": "true", "BulkEnabled": "true", "AlarmEmail": "", "ScheduleExpression": "rate(1 minute)", "ScheduleIdentifiers": "201,202",
                  "EventPattern": '{"detail":{"change":{"number":[{"exists":true}]}},"source":["com.example.change-management"]}', "Architecture": MACHINE, "MaxAttempts": "1"}
        require("parameters", {name: got[name] for name in wanted}, wanted)
        require("tags", main.stack()["Tags"], [{"Key": "team", "Value": "pam"}])

"""Invocations, events, schedules, queues, lists, and what the log tells of them."""

import json

import stack as stacks
from deployed import Deployed
from table import eventually, require

# Members of a document that differ from one invocation to the next.
PASSING = {"duration_ms", "instance", "upstream_request_id", "x-request-id", "id", "location", "from", "until", "created_at", "at"}


def lasting(value):
    """A document without those, with documents inside texts opened. That something was
    enabled already says what was tried before, so it counts as enabled."""
    if isinstance(value, str):
        return lasting(json.loads(value)) if value.startswith("{") else value.replace("already_", "")
    if isinstance(value, list):
        return [lasting(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, one in value.items():
        if name.lower() in PASSING:
            continue
        plain = name.replace("already_", "")
        found[plain] = found[plain] + one if plain in found else lasting(one)
    return found


def samples(table, around, main):
    require("make run", around.answers.wait(120), 0)
    answers = json.loads((around.folder / "answers.json").read_text())
    files = sorted(path.name for path in (stacks.ROOT / "events").glob("*.json"))
    with table.step(f"invoke: the {len(files)} files of events/") as row:
        require("files", files, sorted(answers))
        for file in files:
            event = json.loads((stacks.ROOT / "events" / file).read_text())
            got, want = (lasting(one) for one in (main.invoke(answers[file]["function"], event), answers[file]["document"]))
            if "reconcile" in event:  # what is due depends on the other steps
                got, want = sorted(got), sorted(want)
            require(file, got, want)
        row.ended = "answered as by make run"


def bus(table, around, main):
    def put(source, detail):
        reply = around.client("events").put_events(Entries=[{"Source": source, "DetailType": "Change Approved", "Detail": json.dumps(detail)}])
        require("FailedEntryCount", reply["FailedEntryCount"], 0)
    with table.step("PutEvents: one that matches, two that do not") as row:
        put("com.example.change-management", {"identifier": 121})
        put("com.example.other", {"identifier": 122, "change": {"number": "CHG1"}})
        put("com.example.change-management", {"identifier": 120, "change": {"number": "CHG1"}, "reason": "CHG1"})
        line = eventually("the audit line", lambda: main.audit("EventFunction", 120), 20)[0]
        require("line", (line["outcome"], line["reason"]), ("enabled", "CHG1"))
        require("lines of the others", [main.audit("EventFunction", 121), main.audit("EventFunction", 122)], [[], []])
        row.ended = "one enabled"


def queue(table, around, main):
    """Fails three times, 1 and 2 seconds apart in MiniStack, and is handed over."""
    def invoke():
        around.client("lambda").invoke(FunctionName=main.resource("EventFunction"), InvocationType="Event", Payload=json.dumps({"identifier": 7, "reason": "to fail"}))

    def hand_over():
        found = around.client("sqs").receive_message(QueueUrl=main.outputs()["FailedEventsUrl"], WaitTimeSeconds=2).get("Messages")
        return found and json.loads(found[0]["Body"])
    with table.step("asynchronous failure: into the queue FailedEvents") as row:
        invoke()
        message = eventually("the message", hand_over, 40)
        require("message", (message["requestPayload"]["reason"], message["responsePayload"]["errorType"]), ("to fail", "Segura.PermanentError"))
        require("tries", len(main.audit("EventFunction", 7)) >= 3, True)
        row.ended = f"after {message['requestContext']['approximateInvokeCount']} tries, with its result"


def log(table, main):
    with table.step("metrics, read back from the logs") as row:
        found = {}
        for function in ("ApiFunction", "EventFunction", "WindowFunction"):
            for line in main.lines(function):
                for metrics in line.get("_aws", {}).get("CloudWatchMetrics", []):
                    require("namespace", metrics["Namespace"], "Segura")
                    require("Function", line["Function"], main.resource(function))
                    found |= {metric["Name"]: line[metric["Name"]] for metric in metrics["Metrics"]}
        wanted = {"Enabled", "AlreadyEnabled", "Disabled", "AlreadyDisabled", "Failed", "CallLatency", "TokenLatency", "Attempts", "Reconciled", "WindowsOpen"}
        require("metrics that are missing", sorted(wanted - set(found)), [])
        row.ended = f"{len(found)} of them"


def bulk(table, around, main):
    s3, machines = around.client("s3"), around.client("stepfunctions")
    with table.step("bulk: a list of 100 from the bucket") as row:
        bucket = main.outputs()["BulkBucketName"]
        s3.put_object(Bucket=bucket, Key="lists/e2e.csv", Body="identifier,owner\n" + "".join(f"{n},operations\n" for n in range(300, 399)) + "7,nobody\n")
        run = machines.start_execution(stateMachineArn=main.outputs()["BulkStateMachineArn"], input=json.dumps({"key": "lists/e2e.csv", "action": "enable", "reason": "CHG1"}))["executionArn"]
        done = eventually("the run", lambda: (got := machines.describe_execution(executionArn=run))["status"] != "RUNNING" and got, 60)
        require("status", (done["status"], done.get("cause")), ("SUCCEEDED", None))
        output = json.loads(done["output"])
        require("rows", {name: output.get(name) for name in ("rows", "changed", "failed")}, {"rows": 100, "changed": 99, "failed": 1})
        counted = around.client("cloudwatch").list_metrics(Namespace="Segura", MetricName="BulkRowsFailed")["Metrics"]
        require("dimensions of BulkRowsFailed", [one["Dimensions"] for one in counted], [[{"Name": "Function", "Value": main.resource("EventFunction")}]])
        results = s3.list_objects_v2(Bucket=bucket, Prefix="results/").get("KeyCount", 0)
        row.ended = f"{done['status']}, {results} objects under results/"


class Schedules:
    """Four more stacks, so that both kinds of schedule are tried for both things that one
    can do. They are made early, and asked for late."""

    def __init__(self, around, main):
        self.stacks = {}
        for kind, expression in {"at": "at(2026-01-01T00:00:00)", "rate": "rate(1 minute)"}.items():
            for what, duration in {"enabling": "", "windows": "PT1H"}.items():
                stack = self.stacks[kind, what] = Deployed(around, f"segura-{kind}-{what}")
                stack.create(main, ScheduleExpression=expression, ScheduleFor=duration, ScheduleIdentifiers="101,102", ScheduleReason="by schedule",
                             SecretArn=main.outputs()["SecretArn"], ApiEnabled="false", DashboardEnabled="false", AlarmEmail="")

    def drive(self, table, kind):
        for what in ("enabling", "windows"):
            stack = self.stacks[kind, what]
            with table.step(f"schedule {kind}() for {what}") as row:
                require("stack", (stack.settled(), stack.faults()), ("CREATE_COMPLETE", []))
                function = "WindowFunction" if what == "windows" else "EventFunction"
                line = eventually("the audit line", lambda: stack.audit(function, 101) and stack.audit(function, 102), 100)[0]
                require("line", (line["reason"], line["outcome"].removeprefix("already_")), ("by schedule", "enabled"))
                if what == "windows":
                    require("windows", len(stack.live()), 1)
                row.ended = line["outcome"] + (", in one window" if what == "windows" else "")

"""cfn-lint, cfn-lint-serverless and checkov over resolved stacks.

Scanners take an Fn::If for whatever suits them, so they get each stack without
any. What they find and we keep is listed here, with the reason, and only for the
stacks that the reason holds for. An entry that nothing needs any more is an error.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import stack as stacks

BIN = Path(sys.prefix) / "bin"
CHECKOV = Path(sys.prefix) / "checkov" / "bin" / "checkov"


def no_key(p):
    return not p["KmsKeyArn"]


def always(_):
    return True


# Rule, resources, the stacks it is kept for, and why.
KEPT = [
    # cfn-lint-serverless
    ("WS1000", r"\w+Function", lambda p: p["TracingEnabled"] == "false", "X-Ray is a parameter: it costs, and the audit log and metrics tell more."),
    ("WS1003", r"\w+FunctionRole", lambda p: p["VpcSubnetIds"], "The star is in a Deny."),
    ("WS1004", r"\w+Function", always, "The rule looks for a log group by the function's name; ours is given in LoggingConfig, with a retention."),
    ("WS5000", "BulkStateMachine", lambda p: p["TracingEnabled"] == "false", "X-Ray is a parameter."),
    ("WS2002", "ApiprodStage", lambda p: p["TracingEnabled"] == "false", "X-Ray is a parameter."),
    ("ES2000", "ApiprodStage", lambda p: p["ApiAccessLog"] == "false", "The access log needs a role in the account's settings, which one stack must not make for all."),
    ("ES6000", r"(Failed|Undelivered)Events", always, "They are the dead-letter queues."),
    ("ES7000", "AlarmSubscription", always, "SNS cannot send to a queue what it could not send to an e-mail address."),
    # checkov
    ("CKV_AWS_18", "(Audit|Bulk)Bucket", always, "An access log asks for another bucket; who reads objects is in CloudTrail, where its data events are on."),
    ("CKV_AWS_26", "AlarmTopic", no_key, "A key of one's own is a parameter; alarms cannot be published under AWS's key for SNS."),
    ("CKV_AWS_27", r"(Failed|Undelivered)Events", no_key, "Encrypted with SSE-SQS, which this rule does not know; a key of one's own is a parameter."),
    ("CKV_AWS_73", "ApiprodStage", lambda p: p["TracingEnabled"] == "false", "X-Ray is a parameter."),
    ("CKV_AWS_76", "ApiprodStage", lambda p: p["ApiAccessLog"] == "false", "As ES2000."),
    ("CKV_AWS_111", r"\w+FunctionRole", lambda p: p["VpcSubnetIds"], "Lambda checks that the role may make network interfaces on '*'. The function itself is denied it."),
    ("CKV_AWS_115", r"\w+Function", always, "Reserved concurrency is a parameter: it takes from the account's."),
    ("CKV_AWS_116", r"\w+Function", always, "What is called asynchronously has an on-failure destination, which also keeps the result; the other functions are not."),
    ("CKV_AWS_117", r"\w+Function", lambda p: not p["VpcSubnetIds"], "A VPC is a parameter."),
    ("CKV_AWS_119", "WindowsTable", no_key, "Encrypted under AWS's key for DynamoDB; a key of one's own is a parameter."),
    ("CKV_AWS_120", "ApiprodStage", always, "Every request changes something; nothing can be cached."),
    ("CKV_AWS_149", "Secret", no_key, "A key of one's own is a parameter."),
    ("CKV_AWS_158", r"\w+Logs", no_key, "A key of one's own is a parameter."),
    ("CKV_AWS_173", r"\w+Function", no_key, "A key of one's own is a parameter, and no variable holds a secret."),
]


def environment():
    return os.environ | {"AWS_DEFAULT_REGION": stacks.PSEUDO["AWS::Region"], "SAM_CLI_TELEMETRY": "0"}


def run(command):
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, env=environment())
    if not done.stdout.strip():
        raise RuntimeError(f"{command[0]} ended with {done.returncode} and no output:\n{done.stderr}")
    return json.loads(done.stdout)


def cfn_lint(files, serverless=True):
    """The findings: file, rule, resource, sentence."""
    rules = ["--append-rules", "cfn_lint_serverless.rules"] if serverless else []
    command = [BIN / "cfn-lint", "--format", "json", "--regions", stacks.PSEUDO["AWS::Region"], *rules, "--template", *files]
    for one in run(command):
        path = one["Location"]["Path"] or []
        resource = path[1] if len(path) > 1 else "/".join(map(str, path))
        yield one["Filename"], one["Rule"]["Id"], str(resource), one["Message"]


def checkov(folder):
    out = run([CHECKOV, "--directory", folder, "--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--output", "json"])
    for report in out if isinstance(out, list) else [out]:
        if report.get("results", {}).get("parsing_errors"):
            raise RuntimeError(f"checkov cannot read {report['results']['parsing_errors']}")
        for one in report.get("results", {}).get("failed_checks", []):
            yield str(Path(folder) / one["file_path"].lstrip("/")), one["check_id"], one["resource"].split(".")[-1], one["check_name"]


class Judge:
    """Tells the findings that are kept from those that are not."""

    def __init__(self):
        self.used = set()

    def keeps(self, rule, resource, parameters):
        for number, (kept, resources, when, _) in enumerate(KEPT):
            if kept == rule and re.fullmatch(resources, resource) and when(parameters):
                self.used.add(number)
                return True
        return False

    def stale(self):
        return [f"{rule} on {resources} is kept for nothing" for number, (rule, resources, _, _) in enumerate(KEPT) if number not in self.used]


def write(folder, name, template):
    path = Path(folder) / f"{name}.json"
    path.write_text(json.dumps(template, indent=1), "utf-8")
    return path

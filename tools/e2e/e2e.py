"""Deploys the template to MiniStack, an emulator of AWS that is not ours, and uses what
comes of it: the self-check, a window that is opened, extended, reconciled and closed,
one that is left open when windows are switched off, with Segura there and without,
and one when the stack goes.

e2e.py PYTHON: the Python that has ministack. What MiniStack cannot do: alarms on
metric math (the first metric stands for it), the attributes of Scheduler, saved queries,
and pipes to a bus (both are left out).
"""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sam"))

import boto3
import stack as stacks
from botocore.config import Config

ACCOUNT, REGION, NAME, BUCKET = "123456789012", stacks.REGION, "segura-e2e", "artifacts"
GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[os.uname().machine]
FUNCTION_TIMEOUT = 20  # seconds, after which a custom resource has given up
UNKNOWN = {"AWS::Logs::QueryDefinition", "AWS::Pipes::Pipe"}
SOURCES = {"ApiFunction": "api", "EventFunction": "event", "WindowApiFunction": "window", "WindowFunction": "window"}


class Failure(Exception):
    """Something is not as it should be."""


def build(folder):
    """The programs: each function's, zipped, and the one that simulates Segura."""
    environment = os.environ | {"CGO_ENABLED": "0", "GOARCH": GO_ARCH}
    for source in sorted(set(SOURCES.values())):
        program = folder / source
        subprocess.run(["go", "build", "-tags", "lambda.norpc", "-trimpath", "-o", program, f"./functions/{source}"], cwd=stacks.ROOT, env=environment, check=True)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            info = zipfile.ZipInfo("bootstrap")
            info.external_attr = 0o755 << 16
            archive.writestr(info, program.read_bytes())
        (folder / f"{source}.zip").write_bytes(packed.getvalue())
    subprocess.run(["go", "build", "-trimpath", "-o", folder / "segura-local", "./simulated/cmd/segura-local"], cwd=stacks.ROOT, env=environment, check=True)


class Surroundings:
    """The emulator, and the simulated Segura with its AWS secret. They end with the program."""

    def __init__(self, python, folder):
        self.log = (folder / "ministack.log").open("wb")
        self.segura = subprocess.Popen([folder / "segura-local", "services", "-name", "127.0.0.1", "-port", "0"], stdout=subprocess.PIPE, text=True)
        secrets = next(match.group(1) for line in self.segura.stdout if (match := re.search(r"secret .* at (http://\S+)", line)))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        data = {name: str(folder / name.lower()) for name in ("TMPDIR", "STATE_DIR", "S3_DATA_DIR")}
        for path in data.values():
            os.mkdir(path)
        self.emulator = subprocess.Popen([python, "-m", "ministack.app"], stdout=self.log, stderr=self.log, env=os.environ | data | {
            "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_REGION": REGION, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "secret", "LAMBDA_EXECUTOR": "local", "DOCKER_HOST": "tcp://127.0.0.1:1",
            "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "SSL_CERT_FILE": os.devnull})
        self.secret = self.client("secretsmanager", secrets).get_secret_value(SecretId="segura/mysafe-access-key")["SecretString"]
        eventually("MiniStack starts", lambda: urllib.request.urlopen(self.url + "/_ministack/health", timeout=5).status == 200)

    def client(self, service, url=None):
        return boto3.client(service, endpoint_url=url or self.url, region_name=REGION, aws_access_key_id=ACCOUNT, aws_secret_access_key="secret",
                            config=Config(retries={"total_max_attempts": 1}, read_timeout=120, s3={"addressing_style": "path"}))

    def close(self):
        self.segura.send_signal(signal.SIGCONT)
        for process in (self.segura, self.emulator):
            process.terminate()
            process.wait(10)
        self.log.close()


def free_port():
    import socket
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def eventually(what, done, seconds=60):
    """Waits until done() is true; what it raises counts as not yet."""
    end, said = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            if done():
                return
        except Failure:
            raise
        except Exception as fault:
            said = fault
        time.sleep(0.2)
    raise Failure(f"{what}: not within {seconds} s ({said})")


def template(values, url):
    """The translated template, with the artifacts in our bucket and functions that find
    the emulator's DynamoDB, and what MiniStack cannot do left out."""
    source = stacks.parse(stacks.read())
    translated = stacks.translate(source, stacks.parameters(source, values))
    translated["Resources"] = {name: one for name, one in translated["Resources"].items() if one["Type"] not in UNKNOWN}
    for name, one in translated["Resources"].items():
        if one["Type"] == "AWS::Lambda::Function":
            one["Properties"]["Code"] = {"S3Bucket": BUCKET, "S3Key": f"{SOURCES[name]}.zip"}
            one["Properties"]["Environment"]["Variables"]["AWS_ENDPOINT_URL_DYNAMODB"] = url
            one["Properties"]["Timeout"] = FUNCTION_TIMEOUT
        if one["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in one["Properties"]:
            p = one["Properties"]
            first = next(metric["MetricStat"] for metric in p.pop("Metrics") if "MetricStat" in metric)
            p |= {"Namespace": first["Metric"]["Namespace"], "MetricName": first["Metric"]["MetricName"], "Dimensions": first["Metric"]["Dimensions"],
                  "Statistic": first["Stat"], "Period": first["Period"]}
    return json.dumps(translated)


class Deployed:
    """The stack, as its operator has it."""

    def __init__(self, around, folder):
        self.cloudformation, self.functions = around.client("cloudformation"), around.client("lambda")
        self.tables, self.s3 = around.client("dynamodb"), around.client("s3")
        around.client("secretsmanager").create_secret(Name="segura/e2e", SecretString=around.secret)
        arn = around.client("secretsmanager").describe_secret(SecretId="segura/e2e")["ARN"]
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for source in set(SOURCES.values()):
            self.s3.upload_file(str(folder / f"{source}.zip"), BUCKET, f"{source}.zip")
        self.values = {"SecretArn": arn, "Architecture": {"amd64": "x86_64"}.get(GO_ARCH, "arm64"), "WindowsEnabled": "true", "AllowedIdentifiers": "1-999",
                       "SecretsManagerEndpoint": around.url, "AttemptTimeout": "1s", "MaxAttempts": 1}

    def deploy(self, what, **changed):
        self.values |= changed
        self.s3.put_object(Bucket=BUCKET, Key="template.json", Body=template(self.values, self.s3.meta.endpoint_url).encode())
        getattr(self.cloudformation, what)(
            StackName=NAME, TemplateURL=f"{self.s3.meta.endpoint_url}/{BUCKET}/template.json", Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in self.values.items()])
        return self.wait()

    def wait(self):
        status = ""

        def ended():
            nonlocal status
            status = self.cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"]
            return not status.endswith("IN_PROGRESS")
        eventually("the stack", ended, 120)
        return status

    def events(self):
        return "\n".join(f"{one['LogicalResourceId']} {one['ResourceStatus']} {one.get('ResourceStatusReason', '')}"
                         for one in self.cloudformation.describe_stack_events(StackName=NAME)["StackEvents"] if "FAILED" in one["ResourceStatus"])

    def output(self, name):
        outputs = self.cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["Outputs"]
        return next(one["OutputValue"] for one in outputs if one["OutputKey"] == name)

    def invoke(self, output, document):
        reply = self.functions.invoke(FunctionName=self.output(output), Payload=json.dumps(document).encode())
        answer = json.loads(reply["Payload"].read())
        if "FunctionError" in reply:
            raise Failure(f"{document}: {answer}")
        return answer

    def request(self, method, path, body=None):
        """Status and document of a request to the API."""
        api = re.match(r"https://(\w+)\.", self.output("ApiUrl")).group(1)
        request = urllib.request.Request(f"{self.s3.meta.endpoint_url}/_aws/execute-api/{api}/prod{path}", method=method,
                                         data=json.dumps(body).encode() if body else None, headers={
            "Content-Type": "application/json",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261126/{REGION}/execute-api/aws4_request, SignedHeaders=host, Signature=0"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def live(self, table):
        """The ids of the windows in the table that are not closed."""
        found = self.tables.query(TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "live"}})
        return sorted(one["sk"]["S"] for one in found["Items"])


def require(what, got, want):
    if got != want:
        raise Failure(f"{what}: got {got}, want {want}")
    print(f"ok   {what}", flush=True)


def go_through(d, around):
    status = d.deploy("create_stack")
    require(f"the stack is created {d.events() if status != 'CREATE_COMPLETE' else ''}", status, "CREATE_COMPLETE")
    table = d.output("WindowsTableName")
    require("self-check of EventFunction", d.invoke("EventFunctionArn", {"check": True})["check"], "passed")
    check = d.invoke("WindowFunctionArn", {"check": True})
    require("self-check of WindowFunction", [(one["name"], one["outcome"]) for one in check["steps"]], [(one, "passed") for one in ("credentials", "connection", "token", "table")])
    window = d.invoke("WindowFunctionArn", {"window": {"identifiers": [5, 100], "for": "PT1H", "reason": "e2e"}, "idempotency_key": "e2e"})
    require("a window is opened", [one["state"] for one in window["identifiers"]], ["enabled", "enabled"])
    require("it is in the table", d.live(table), [window["id"]])
    extended = d.invoke("WindowFunctionArn", {"extend": {"id": window["id"], "by": "PT1H"}})
    require("it is extended", len(extended["extensions"]), 1)
    require("it is reconciled", d.invoke("WindowFunctionArn", {"reconcile": True})["open"], 1)
    closed = d.invoke("WindowFunctionArn", {"close": {"id": window["id"]}})
    require("it is closed", (closed["state"], [one["state"] for one in closed["identifiers"]]), ("closed", ["disabled", "disabled"]))
    d.invoke("WindowFunctionArn", {"window": {"identifiers": [5], "for": "PT1H"}})
    status, window = d.request("POST", "/windows", {"identifiers": [100], "for": "PT1H", "reason": "e2e"})
    require("a window is opened over HTTP", (status, window["identifiers"][0]["state"] if status == 201 else window), (201, "enabled"))
    require("windows are listed over HTTP", len(d.request("GET", "/windows?limit=10")[1]["windows"]), 2)
    require("it is closed over HTTP", d.request("POST", f"/windows/{window['id']}/close", {"reason": "done"})[1]["state"], "closed")
    around.segura.send_signal(signal.SIGSTOP)
    require("without Segura, windows cannot be switched off", d.deploy("update_stack", WindowsEnabled="false"), "UPDATE_ROLLBACK_COMPLETE")
    require("the window is still to be closed", len(d.live(table)), 1)
    around.segura.send_signal(signal.SIGCONT)
    eventually("the reconciler's schedule", lambda: not d.live(table), 240)  # the call that got no answer has to land first
    print("ok   the reconciler closes it, run by its schedule", flush=True)
    d.invoke("WindowFunctionArn", {"window": {"identifiers": [5], "for": "PT1H"}})
    require("windows are switched off", d.deploy("update_stack", WindowsEnabled="false"), "UPDATE_COMPLETE")
    require("that closed the open one", d.live(table), [])
    require("windows are switched on", d.deploy("update_stack", WindowsEnabled="true"), "UPDATE_COMPLETE")
    d.invoke("WindowFunctionArn", {"window": {"identifiers": [5], "for": "PT1H"}})
    d.cloudformation.delete_stack(StackName=NAME)
    eventually("the stack is deleted", lambda: gone(d), 120)
    require("the table stays, and no window is open in it", d.live(table), [])


def gone(d):
    try:
        status = d.cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"]
    except d.cloudformation.exceptions.ClientError:
        return True
    if status == "DELETE_FAILED":
        raise Failure(f"the stack cannot be deleted: {d.events()}")
    return status == "DELETE_COMPLETE"


def main(python):
    folder = Path(tempfile.mkdtemp(prefix="segura-e2e"))
    around = None
    try:
        build(folder)
        around = Surroundings(python, folder)
        go_through(Deployed(around, folder), around)
        return 0
    except Failure as fault:
        print(f"FAIL {fault}\n" + (folder / "ministack.log").read_text("utf-8", "replace")[-3000:])
        return 1
    finally:
        if around:
            around.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

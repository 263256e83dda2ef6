"""What is around the stack: MiniStack, which stands for AWS and enforces IAM, the
simulated Segura, callers, and a copy of the repository that is deployed from.
"""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request

import boto3
import stack as stacks
from adaptations import adapt
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from build import copy_source
from table import eventually

ACCOUNT, REGION = stacks.ACCOUNT, stacks.REGION
OPERATOR = Credentials(ACCOUNT, "secret")  # MiniStack's root of the account of that number
MACHINE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[os.uname().machine]
VENV = stacks.ROOT / ".venv"


class Surroundings:
    """They end with the program."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.url = f"http://127.0.0.1:{free_port()}"
        self.source = folder / "source"

    def start(self, python):
        self.start_emulator(python)
        self.start_segura()
        copy_source(self.source)
        template = adapt(json.loads(stacks.as_json((stacks.ROOT / "template.yaml").read_text("utf-8"))), self.url)
        (self.source / "template.yaml").write_text(json.dumps(template))
        eventually("MiniStack starts", lambda: urllib.request.urlopen(self.url + "/_ministack/health", timeout=5).status == 200)
        self.callers()

    def start_emulator(self, python):
        """Functions inherit the emulator's environment: so they find it, and write their
        log as Lambda has them do, which MiniStack does not tell them (limits.py)."""
        data = {name: str(self.folder / name.lower()) for name in ("TMPDIR", "STATE_DIR", "S3_DATA_DIR")}
        for path in data.values():
            os.mkdir(path)
        self.log = (self.folder / "ministack.log").open("wb")
        packages = next((VENV / "lib").glob("python*/site-packages"))
        self.processes.append(subprocess.Popen(
            [python, stacks.ROOT / "tools/e2e/emulator.py", packages], stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, env=clean() | data | {
                "GATEWAY_PORT": self.url.rsplit(":", 1)[1], "BIND_HOST": "127.0.0.1", "LAMBDA_EXECUTOR": "local", "DOCKER_HOST": "tcp://127.0.0.1:1",
                "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "AUTH": "true", "SFN_WAIT_SCALE": "0.001",
                "MINISTACK_ACCOUNT_ID": ACCOUNT, "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": OPERATOR.secret_key,
                "MINISTACK_REGION": REGION, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": self.url,
                "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO", "SSL_CERT_FILE": os.devnull}))

    def start_segura(self):
        program = self.folder / "segura-local"
        subprocess.run(["go", "build", "-trimpath", "-o", program, "./simulated/cmd/segura-local"], cwd=stacks.ROOT, env=os.environ | {"CGO_ENABLED": "0"}, check=True)
        self.segura = subprocess.Popen([program, "services", "-name", "127.0.0.1", "-port", "0", "-any"], stdout=subprocess.PIPE, text=True)
        self.processes.append(self.segura)
        address = next(match.group(1) for line in self.segura.stdout if (match := re.search(r"secret .* at (http://\S+)", line)))
        self.secret = self.client("secretsmanager", url=address).get_secret_value(SecretId="segura/mysafe-access-key")["SecretString"]
        self.answers = subprocess.Popen([program, "run", "-answers", self.folder / "answers.json"], cwd=stacks.ROOT, stdout=subprocess.DEVNULL)
        self.processes.append(self.answers)

    def callers(self):
        """The README's role, one that IAM allows and ApiCallers does not, and one that nothing allows."""
        iam, everything = self.client("iam"), ["execute-api:Invoke", "lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        for role, actions in {"operations": everything, "visitor": everything, "stranger": ["s3:GetObject"]}.items():
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
            iam.put_role_policy(RoleName=role, PolicyName="callers", PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}))
            got = self.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="alice")["Credentials"]
            setattr(self, role, Credentials(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]))

    def client(self, service, url=None):
        return boto3.client(service, endpoint_url=url or self.url, region_name=REGION, aws_access_key_id=OPERATOR.access_key, aws_secret_access_key=OPERATOR.secret_key,
                            config=Config(retries={"total_max_attempts": 1}, read_timeout=120, s3={"addressing_style": "path"}))

    def variables(self, caller=OPERATOR, region="AWS_REGION"):
        """The environment of a person at a shell."""
        return clean() | {"AWS_ENDPOINT_URL": self.url, "SAM": str(VENV / "bin/sam"), "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "1", region: REGION,
                          "AWS_ACCESS_KEY_ID": caller.access_key, "AWS_SECRET_ACCESS_KEY": caller.secret_key, "AWS_SESSION_TOKEN": caller.token or "",
                          "__SAM_CLI_APP_DIR": str(self.folder / "sam"), "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}

    def request(self, method, url, body=None, caller=None, service="execute-api", headers=None):
        """Status and document of a request; without a caller, it is not signed."""
        data = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json"} | (headers or {}))
        if caller:
            SigV4Auth(caller, service, REGION).add_auth(request)
        prepared = request.prepare()
        sent = urllib.request.Request(prepared.url, method=method, data=prepared.body.encode() if isinstance(prepared.body, str) else prepared.body, headers=dict(prepared.headers.items()))
        try:
            with urllib.request.urlopen(sent, timeout=30) as response:
                return response.status, document(response.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, document(refusal.read())

    def close(self):
        for process in self.processes:
            process.send_signal(signal.SIGCONT)  # if it was stopped
            process.kill() if process.stdin else process.terminate()  # MiniStack waits for what is under way
            process.wait(10)


def document(text):
    try:
        return json.loads(text)
    except ValueError:
        return text.decode("utf-8", "replace")


def clean():
    """This environment, without anything of AWS or of a make around."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARCH")}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]

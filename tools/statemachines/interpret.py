"""Executes state machines in moto's interpreter, which is LocalStack's, with
jsonata-python for the query language: neither of them is ours.

It reads one line of JSON for each execution, {"definition", "name", "input"}, and
answers with one line. In between it writes a line for each call that the machine
makes, {"call", "action", "payload"}, and reads a line with what comes of it. Waits
take no time: the clock jumps to their end.

What it cannot do, and is therefore run by simulated/statemachine alone:
executions that are stopped, batches of a distributed Map state (ItemBatcher), and
time-outs of a call by its TimeoutSeconds, for which the caller answers with an
error of that name instead.
"""

import datetime
import json
import os
import sys
import threading
import time

os.environ.update(AWS_ACCESS_KEY_ID="ak", AWS_SECRET_ACCESS_KEY="sk", AWS_DEFAULT_REGION="eu-west-1", MOTO_ACCOUNT_ID="123456789012")

import boto3
import jsonata
from moto import mock_aws
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.jsonata import jsonata as bridge

ROLE = "arn:aws:iam::123456789012:role/machine"
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class Clock:
    """The time, with what was skipped of it."""

    def __init__(self):
        self.skipped = 0.0

    def now(self):
        return time.time() + self.skipped

    def sleep(self, seconds):
        self.skipped += max(seconds, 0)


CLOCK, LINES = Clock(), threading.Lock()


def say(document):
    print(json.dumps(document), flush=True)


def ask(action, payload):
    with LINES:
        say({"call": True, "action": action, "payload": payload, "now": CLOCK.now()})
        answer = json.loads(sys.stdin.readline())
    if "error" in answer:
        raise CallFailed(answer["error"], answer["cause"])
    return answer["result"]


class CallFailed(Exception):
    def __init__(self, name, cause):
        super().__init__(name)
        self.name, self.cause = name, cause


def invoke(env, parameters, region, state_credentials):
    try:
        env.stack.append({"StatusCode": 200, "Payload": ask("invoke", json.loads(parameters["Payload"]))})
    except CallFailed as fault:
        raise failure(env, fault) from fault


def failure(env, fault):
    return FailureEventException(FailureEvent(
        env=env, error_name=CustomErrorName(fault.name), event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=TaskFailedEventDetails(error=fault.name, cause=fault.cause))))


def service_call(self, env, resource_runtime_part, normalised_parameters, state_credentials):
    try:
        env.stack.append(ask(f"{self.resource.api_name}:{self.resource.api_action}", normalised_parameters))
    except CallFailed as fault:
        raise failure(env, fault) from fault


def evaluate(expression):
    query = jsonata.Jsonata(expression)
    query.register_lambda("millis", lambda *_: int(CLOCK.now() * 1000))
    query.register_lambda("parse", json.loads)
    try:
        result = query.evaluate(None)
    except Exception as fault:
        raise bridge.JSONataException("UNKNOWN", str(fault)) from fault
    return json.loads(json.dumps(result))


def declarations(bindings):
    # moto's own does not escape what is in a string.
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


def seconds_until(self, env):
    self.string.eval(env=env)
    until = datetime.datetime.fromisoformat(env.stack.pop())
    return until.timestamp() - CLOCK.now()


def patch():
    lambda_eval_utils.execute_lambda_function_integration = invoke
    state_task_service_aws_sdk.StateTaskServiceAwsSdk._eval_service_task = service_call
    retrier_decl.time = CLOCK
    Timestamp._get_wait_seconds = seconds_until
    WaitFunction._wait_interval = lambda self, env, wait_seconds: CLOCK.sleep(wait_seconds)
    bridge.eval_jsonata_expression = evaluate
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("moto.stepfunctions"):
            for name, value in (("eval_jsonata_expression", evaluate), ("encode_jsonata_variable_declarations", declarations)):
                if hasattr(module, name):
                    setattr(module, name, value)


def execute(client, job):
    """One execution, from its start to its end, and the states that it entered."""
    started = CLOCK.now()
    machine = client.create_state_machine(name="m" + str(time.time_ns()), definition=job["definition"], roleArn=ROLE)["stateMachineArn"]
    arn = client.start_execution(stateMachineArn=machine, name=job["name"], input=job["input"])["executionArn"]
    while (described := client.describe_execution(executionArn=arn))["status"] not in ENDED:
        time.sleep(0.01)
    states, token = [], {}
    while True:
        page = client.get_execution_history(executionArn=arn, **token)
        states += [one["stateEnteredEventDetails"]["name"] for one in page["events"] if "stateEnteredEventDetails" in one]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    return {"status": described["status"], "error": described.get("error", ""), "cause": described.get("cause", ""),
            "output": described.get("output", ""), "states": states, "started": started, "stopped": CLOCK.now()}


def main():
    patch()
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client = boto3.client("stepfunctions")
        while line := sys.stdin.readline():
            try:
                result = execute(client, json.loads(line))
            except Exception as fault:  # whoever started this wants to know
                result = {"fault": f"{type(fault).__name__}: {fault}"}
            with LINES:
                say(result)


if __name__ == "__main__":
    main()

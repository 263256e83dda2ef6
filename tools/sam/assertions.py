"""What has to be true of every stack that the template makes.

Each check gets one resolved stack and yields what is wrong with it. Policies are
compared whole: one more action, or one less condition, is a difference.
"""

import functools
import json
import re
import tomllib
from pathlib import Path

import facts
import sets
import stack as stacks
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from openapi import WINDOWS, check_document, check_samples

ACCOUNT, REGION, NAME = (stacks.PSEUDO[f"AWS::{one}"] for one in ("AccountId", "Region", "StackName"))
VIA = "amazonaws.com"
PROCESS_VARIABLES = {"AWS_ENDPOINT_URL_SECRETS_MANAGER", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR"}
EMPTY_SECRET = '{"base_url": "", "client_id": "", "client_secret": ""}'
FUNCTION_TIMEOUTS = {"ApiFunction": 25, "EventFunction": 900}
CODE_GROUPS = {
    "CredentialsAlarm": {"credentials_unavailable", "authentication_failed"},
    "UpstreamAlarm": {"upstream_error", "upstream_invalid_response", "upstream_timeout", "upstream_unreachable", "rate_limited"},
    "RefusedAlarm": {"not_found", "access_denied", "not_allowed"},
    "UnexpectedAlarm": {"unexpected_response", "deadline_exceeded", "internal_error"},
}


class Stack:
    """One stack: its parameters, and what they make of the template."""

    def __init__(self, texts, name, given):
        self.name = name
        self.source, self.translated, self.template, self.symbols = stacks.load(texts, given)
        self.p = stacks.parameters(self.source, given)
        self.resources = self.symbols["Resources"]
        p = self.p
        self.api = p["ApiEnabled"] == "true"
        self.url = p["FunctionUrlEnabled"] == "true"
        self.schedule = p["ScheduleExpression"] != ""
        self.rule = p["EventPattern"] != ""
        self.windows = p["WindowsEnabled"] == "true"
        self.bulk = p["BulkEnabled"] == "true"
        self.key = p["KmsKeyArn"]
        self.functions = ["EventFunction"] + ["ApiFunction"] * (self.api or self.url)
        self.creates_secret = p["SecretArn"] == ""
        self.secret = "<Secret>" if self.creates_secret else p["SecretArn"]
        self.topic = p["AlarmTopicArn"] or "<AlarmTopic>"

    def properties(self, name):
        return self.resources.get(name, {}).get("Properties", {})

    def of_type(self, kind):
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}


def compare(what, got, want):
    if got != want:
        yield f"{what}: got {brief(got)}, want {brief(want)}"


def brief(value):
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=sorted)
    return text if len(text) < 600 else text[:600] + "…"


# --- The whole -------------------------------------------------------------------

def check_inventory(s):
    """Exactly the resources that the parameters ask for."""
    p = s.p
    want = {
        "EventFunction": "AWS::Lambda::Function", "EventFunctionLogs": "AWS::Logs::LogGroup", "EventFunctionRole": "AWS::IAM::Role",
        "EventFunctionInvocations": "AWS::Lambda::EventInvokeConfig",
        "FailedEvents": "AWS::SQS::Queue", "FailedEventsPolicy": "AWS::SQS::QueuePolicy",
        "UndeliveredEvents": "AWS::SQS::Queue", "UndeliveredEventsPolicy": "AWS::SQS::QueuePolicy",
    }
    alarms = [*CODE_GROUPS, "EventErrorsAlarm", "EventThrottlesAlarm", "EventDurationAlarm", "FailedEventsAlarm",
              "UndeliveredEventsAlarm", "DeliveryAlarm"]
    if s.creates_secret:
        want["Secret"] = "AWS::SecretsManager::Secret"
    if s.api or s.url:
        want |= {"ApiFunction": "AWS::Lambda::Function", "ApiFunctionLogs": "AWS::Logs::LogGroup", "ApiFunctionRole": "AWS::IAM::Role"}
        alarms += ["ApiErrorsAlarm", "ApiThrottlesAlarm", "ApiDurationAlarm"]
    if s.api:
        want |= {"Api": "AWS::ApiGateway::RestApi", "ApiDeployment": "AWS::ApiGateway::Deployment", "ApiprodStage": "AWS::ApiGateway::Stage",
                 "ApiMayInvokeFunction": "AWS::Lambda::Permission"}
        alarms += ["Api5xxAlarm"]
        if p["ApiAccessLog"] == "true":
            want["ApiAccessLogs"] = "AWS::Logs::LogGroup"
        if p["ApiWebAclArn"]:
            want["ApiWebAcl"] = "AWS::WAFv2::WebACLAssociation"
    if s.url:
        want["ApiFunctionUrl"] = "AWS::Lambda::Url"
    if s.schedule:
        want |= {"ScheduleGroup": "AWS::Scheduler::ScheduleGroup", "Schedule": "AWS::Scheduler::Schedule", "ScheduleRole": "AWS::IAM::Role"}
        if p["ScheduleState"] == "ENABLED" and p["NoSuccessHours"]:
            alarms += ["NoSuccessAlarm"]
    if s.rule:
        want |= {"Rule": "AWS::Events::Rule", "RuleMayInvokeFunction": "AWS::Lambda::Permission"}
    if s.api:
        want["ApiWindowRole"] = "AWS::IAM::Role"
    if s.bulk:
        want |= {"BulkBucket": "AWS::S3::Bucket", "BulkBucketPolicy": "AWS::S3::BucketPolicy", "BulkStateMachine": "AWS::StepFunctions::StateMachine",
                 "BulkLogs": "AWS::Logs::LogGroup", "BulkRole": "AWS::IAM::Role"}
        alarms += ["BulkFailedAlarm"]
    if s.windows:
        want |= {"WindowStateMachine": "AWS::StepFunctions::StateMachine", "ClosingStateMachine": "AWS::StepFunctions::StateMachine",
                 "WindowLogs": "AWS::Logs::LogGroup", "WindowRole": "AWS::IAM::Role", "StoppedWindowRule": "AWS::Events::Rule",
                 "StoppedWindowRole": "AWS::IAM::Role"}
        alarms += ["WindowsFailedAlarm", "WindowsStoppedAlarm", "WindowsOverdueAlarm"]
    if not p["AlarmTopicArn"]:
        want |= {"AlarmTopic": "AWS::SNS::Topic", "AlarmTopicPolicy": "AWS::SNS::TopicPolicy"}
        if p["AlarmEmail"]:
            want["AlarmSubscription"] = "AWS::SNS::Subscription"
    if p["DashboardEnabled"] == "true":
        want["Dashboard"] = "AWS::CloudWatch::Dashboard"
    want |= dict.fromkeys(alarms, "AWS::CloudWatch::Alarm")
    got = {re.sub(r"^ApiDeployment[0-9a-f]+$", "ApiDeployment", name): one["Type"] for name, one in s.resources.items()}
    for name in sorted(want.keys() | got.keys()):
        yield from compare(f"resource {name}", got.get(name, "none"), want.get(name, "none"))


def check_references(s):
    """Nothing refers to what is not in this stack."""
    names = set(s.template["Resources"])
    for section in ("Resources", "Outputs"):
        for name, one in s.template[section].items():
            for missing in sorted(set(stacks.references(one)) - names):
                yield f"{section} {name} refers to {missing}, which this stack does not have"


def check_retention(s):
    """What cannot be had again outlives the stack: logs, results, and credentials."""
    for name, one in s.resources.items():
        keeps = one["Type"] in ("AWS::Logs::LogGroup", "AWS::SecretsManager::Secret", "AWS::S3::Bucket")
        yield from compare(f"{name} DeletionPolicy", one.get("DeletionPolicy", "none"), "RetainExceptOnCreate" if keeps else "none")
        yield from compare(f"{name} UpdateReplacePolicy", one.get("UpdateReplacePolicy", "none"), "Retain" if keeps else "none")


def check_log_groups(s):
    for name, one in s.of_type("AWS::Logs::LogGroup").items():
        want = {"RetentionInDays": s.p["LogRetentionDays"]} | ({"KmsKeyId": s.key} if s.key else {})
        yield from compare(f"{name}", one.get("Properties"), want)


def check_secret(s):
    """Empty, in the shape of internal/credentials, and for ever the same."""
    if not s.creates_secret:
        return
    got = dict(s.properties("Secret"))
    got.pop("Description", None)
    yield from compare("Secret", got, {"SecretString": EMPTY_SECRET} | ({"KmsKeyId": s.key} if s.key else {}))


def check_outputs(s):
    """Addresses and ARNs of all that was asked for."""
    p = s.p
    want = {
        "EventFunctionArn": "<EventFunction.Arn>", "SecretArn": s.secret, "FailedEventsUrl": "<FailedEvents>",
        "UndeliveredEventsUrl": "<UndeliveredEvents>", "AlarmTopicArn": s.topic,
    }
    if s.api:
        want["ApiUrl"] = f"https://<Api>.execute-api.{REGION}.amazonaws.com/prod"
        want["ApiInvokeArn"] = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:<Api>/prod/POST/api-secrets/*"
    if s.url:
        want["FunctionUrl"] = "<ApiFunctionUrl.FunctionUrl>"
    if "ApiFunction" in s.functions:
        want["ApiFunctionArn"] = "<ApiFunction.Arn>"
    if s.schedule:
        want["ScheduleName"] = "<ScheduleGroup>/<Schedule>"
    if s.rule:
        want["RuleName"] = f"{NAME}-events"
    if s.bulk:
        want |= {"BulkStateMachineArn": "<BulkStateMachine>", "BulkBucketName": "<BulkBucket>"}
    if s.windows:
        want |= {f"{one}Arn": f"<{one}>" for one in ("WindowStateMachine", "ClosingStateMachine")}
    if p["DashboardEnabled"] == "true":
        want["DashboardUrl"] = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#dashboards:name=<Dashboard>"
    yield from compare("outputs", {name: one["Value"] for name, one in s.symbols["Outputs"].items()}, want)


# --- Functions and roles ---------------------------------------------------------

def check_functions(s):
    p = s.p
    sources = p["AllowedEventSources"]
    variables = {
        "SEGURA_SECRET_ID": s.secret,
        "SEGURA_CREDENTIALS_TTL": p["CredentialsTtl"],
        "SEGURA_ATTEMPT_TIMEOUT": p["AttemptTimeout"],
        "SEGURA_MAX_ATTEMPTS": p["MaxAttempts"],
        "SEGURA_MAX_CONCURRENCY": p["MaxConcurrency"],
        "SEGURA_ALLOWED_IDENTIFIERS": p["AllowedIdentifiers"],
        "SEGURA_DEFAULT_IDENTIFIERS": p["DefaultIdentifiers"],
        "SEGURA_ALLOWED_EVENT_SOURCES": f"{sources},aws.scheduler" if sources and s.schedule else sources,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": p["SecretsManagerEndpoint"],
        "HTTPS_PROXY": p["HttpsProxy"],
        "NO_PROXY": p["NoProxy"],
        "SSL_CERT_DIR": "/nonexistent",
    }
    yield from compare("variables of the code", set(variables) - PROCESS_VARIABLES, set(facts.environment()))
    for name in s.functions:
        want = {
            "Runtime": "provided.al2023", "Handler": "bootstrap", "Architectures": [p["Architecture"]], "MemorySize": p["MemorySize"],
            "Timeout": FUNCTION_TIMEOUTS[name], "Role": f"<{name}Role.Arn>", "Environment": {"Variables": variables},
            "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": p["LogLevel"], "SystemLogLevel": "INFO", "LogGroup": f"<{name}Logs>"},
            "TracingConfig": {"Mode": "Active" if p["TracingEnabled"] == "true" else "PassThrough"},
        }
        if s.key:
            want["KmsKeyArn"] = s.key
        if p["CodeSigningConfigArn"]:
            want["CodeSigningConfigArn"] = p["CodeSigningConfigArn"]
        if (reserved := p[name.replace("Function", "ReservedConcurrency")]) >= 0:
            want["ReservedConcurrentExecutions"] = reserved
        if p["VpcSubnetIds"]:
            want["VpcConfig"] = {"SubnetIds": p["VpcSubnetIds"].split(","), "SecurityGroupIds": p["VpcSecurityGroupIds"].split(",")}
        got = {key: one for key, one in s.properties(name).items() if key not in ("Code", "Description", "Tags")}
        for key in sorted(want.keys() | got.keys()):
            yield from compare(f"{name} {key}", got.get(key, "none"), want.get(key, "none"))
        yield from compare(f"{name} is built by", s.resources[name].get("Metadata"), {"BuildMethod": "makefile"})


def allow(sid, action, resource, **condition):
    statement = {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": {"StringEquals": condition}} if condition else {})


def function_statements(s, name):
    p = s.p
    yield allow("WriteLog", ["logs:CreateLogStream", "logs:PutLogEvents"], f"<{name}Logs.Arn>")
    if name == "EventFunction":
        yield from queue_statements(s, "HandOverFailedEvents", "FailedEvents")
    yield allow("ReadSecret", "secretsmanager:GetSecretValue", s.secret)
    if secret_key := s.key if s.creates_secret else p["SecretKmsKeyArn"]:
        yield allow("DecryptSecret", "kms:Decrypt", secret_key,
                    **{"kms:ViaService": f"secretsmanager.{REGION}.{VIA}", "kms:EncryptionContext:SecretARN": s.secret})
    if s.key:
        yield allow("DecryptEnvironment", "kms:Decrypt", s.key, **{"kms:ViaService": f"lambda.{REGION}.{VIA}"})
    if p["TracingEnabled"] == "true":
        yield allow("WriteTraces", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*")
    if p["VpcSubnetIds"]:
        yield allow("AttachToVpc", [f"ec2:{one}" for one in (
            "CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "DeleteNetworkInterface",
            "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")], "*")
        yield {"Sid": "DenyVpcToTheFunctionItself", "Effect": "Deny", "Action": "ec2:*", "Resource": "*",
               "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}}}


def queue_statements(s, sid, queue):
    yield allow(sid, "sqs:SendMessage", f"<{queue}.Arn>")
    if s.key:
        yield allow("EncryptForQueue", ["kms:GenerateDataKey", "kms:Decrypt"], s.key, **{"kms:ViaService": f"sqs.{REGION}.{VIA}"})


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(service, **condition):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return policy(statement | ({"Condition": condition} if condition else {}))


def machine_trust(*machines):
    arns = [f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{NAME}-{one}" for one in machines]
    return trust("states.amazonaws.com", StringEquals={"aws:SourceAccount": ACCOUNT}, ArnEquals={"aws:SourceArn": arns if len(arns) > 1 else arns[0]})


def machine_statements(s):
    """What every machine needs for its own log and traces."""
    yield allow("DeliverLog", [f"logs:{one}" for one in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups")], "*")
    if s.p["TracingEnabled"] == "true":
        yield allow("WriteTraces", [f"xray:{one}" for one in ("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets")], "*")


def window_statements(s):
    yield allow("Invoke", "lambda:InvokeFunction", "<EventFunction.Arn>")
    yield allow("ReportOverdue", "cloudwatch:PutMetricData", "*", **{"cloudwatch:namespace": "Segura"})
    yield from machine_statements(s)


def bulk_statements(s):
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}"
    yield allow("Invoke", "lambda:InvokeFunction", "<EventFunction.Arn>")
    yield allow("ReadLists", "s3:GetObject", "<BulkBucket.Arn>/lists/*")
    yield allow("WriteResults", "s3:PutObject", "<BulkBucket.Arn>/results/*")
    yield allow("StartBatches", ["states:StartExecution", "states:ListExecutions"], f"{arn}:stateMachine:{NAME}-bulk")
    yield allow("FollowBatches", [f"states:{one}Execution" for one in ("Describe", "Stop", "Redrive")], f"{arn}:execution:{NAME}-bulk/*")
    if s.key:
        yield allow("UseKeyOfBucket", ["kms:GenerateDataKey", "kms:Decrypt"], s.key, **{"kms:ViaService": f"s3.{REGION}.{VIA}"})
    yield from machine_statements(s)


def check_roles(s):
    """Each role, statement by statement."""
    want = {f"{name}Role": (trust("lambda.amazonaws.com"), "function", policy(*function_statements(s, name))) for name in s.functions}
    if s.schedule:
        want["ScheduleRole"] = (
            trust("scheduler.amazonaws.com", StringEquals={"aws:SourceAccount": ACCOUNT}, ArnEquals={"aws:SourceArn": "<ScheduleGroup.Arn>"}),
            "schedule",
            policy(allow("OpenWindows", "states:StartExecution", "<WindowStateMachine>") if s.p["ScheduleFor"]
                   else allow("Invoke", "lambda:InvokeFunction", "<EventFunction.Arn>"),
                   *queue_statements(s, "HandOverUndeliveredEvents", "UndeliveredEvents")))
    if s.bulk:
        role = trust("states.amazonaws.com", StringEquals={"aws:SourceAccount": ACCOUNT},
                     ArnLike={"aws:SourceArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{NAME}-bulk*"})
        want["BulkRole"] = (role, "bulk", policy(*bulk_statements(s)))
    if s.api:
        want["ApiWindowRole"] = (trust("apigateway.amazonaws.com"), "windows", policy(
            allow("OpenWindows", "states:StartExecution", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{NAME}-windows"),
            allow("ReadWindows", "states:DescribeExecution", f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{NAME}-windows:*")))
    if s.windows:
        want["WindowRole"] = (machine_trust("windows", "closing"), "windows", policy(*window_statements(s)))
        want["StoppedWindowRole"] = (
            trust("events.amazonaws.com", StringEquals={"aws:SourceAccount": ACCOUNT},
                  ArnEquals={"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{NAME}-stopped-windows"}),
            "close", policy(allow("Close", "states:StartExecution", "<ClosingStateMachine>")))
    for name, one in s.resources.items():
        if one["Type"].startswith("AWS::IAM::") and name not in want:
            yield f"{name}: an IAM resource that nobody asked for"
    for name, (trusted, policy_name, document) in want.items():
        got = {key: value for key, value in s.properties(name).items() if key != "Description"}
        yield from compare(f"{name} keys", sorted(got), ["AssumeRolePolicyDocument", "Policies"])
        yield from compare(f"{name} trust", got.get("AssumeRolePolicyDocument"), trusted)
        policies = got.get("Policies", [])
        yield from compare(f"{name} policies", [one["PolicyName"] for one in policies], [policy_name])
        statements = policies[0]["PolicyDocument"]["Statement"] if policies else []
        for number in range(max(len(statements), len(document["Statement"]))):
            have = statements[number] if number < len(statements) else "none"
            need = document["Statement"][number] if number < len(document["Statement"]) else "none"
            yield from compare(f"{name} statement {number + 1}", have, need)
        yield from compare(f"{name} policy version", [one["PolicyDocument"].get("Version") for one in policies], ["2012-10-17"])


def check_permissions(s):
    """Who else may invoke the functions."""
    want = {}
    if s.api:
        want["ApiMayInvokeFunction"] = {
            "Action": "lambda:InvokeFunction", "FunctionName": "<ApiFunction>", "Principal": "apigateway.amazonaws.com",
            "SourceArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:<Api>/prod/POST/api-secrets/*"}
    if s.rule:
        want["RuleMayInvokeFunction"] = {
            "Action": "lambda:InvokeFunction", "FunctionName": "<EventFunction>", "Principal": "events.amazonaws.com", "SourceArn": "<Rule.Arn>"}
    got = {name: one["Properties"] for name, one in s.of_type("AWS::Lambda::Permission").items()}
    yield from compare("permissions", got, want)


# --- Queues, topic ---------------------------------------------------------------

def check_queues(s):
    encrypted = {"KmsMasterKeyId": s.key} if s.key else {"SqsManagedSseEnabled": True}
    for queue in ("FailedEvents", "UndeliveredEvents"):
        yield from compare(queue, s.properties(queue), {"MessageRetentionPeriod": 1209600} | encrypted)
        statements = [{"Sid": "DenyWithoutTls", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": f"<{queue}.Arn>",
                       "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]
        if queue == "UndeliveredEvents" and s.rule:
            statements.append({
                "Sid": "HandOverUndeliveredEvents", "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage", "Resource": "<UndeliveredEvents.Arn>", "Condition": {"ArnEquals": {"aws:SourceArn": "<Rule.Arn>"}}})
        if queue == "UndeliveredEvents" and s.windows:
            statements.append({
                "Sid": "HandOverStoppedWindows", "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
                "Resource": "<UndeliveredEvents.Arn>", "Condition": {"ArnEquals": {"aws:SourceArn": "<StoppedWindowRule.Arn>"}}})
        yield from compare(f"{queue}Policy", s.properties(f"{queue}Policy"),
                           {"Queues": [f"<{queue}>"], "PolicyDocument": policy(*statements)})


def check_topic(s):
    if s.p["AlarmTopicArn"]:
        return
    yield from compare("AlarmTopic", s.properties("AlarmTopic"), {"DisplayName": NAME} | ({"KmsMasterKeyId": s.key} if s.key else {}))
    yield from compare("AlarmTopicPolicy", s.properties("AlarmTopicPolicy"), {"Topics": ["<AlarmTopic>"], "PolicyDocument": policy(
        {"Sid": "PublishAlarms", "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish",
         "Resource": "<AlarmTopic>", "Condition": {
             "StringEquals": {"aws:SourceAccount": ACCOUNT},
             "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{NAME}-*"}}},
        {"Sid": "DenyWithoutTls", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "<AlarmTopic>",
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}})})
    if s.p["AlarmEmail"]:
        yield from compare("AlarmSubscription", s.properties("AlarmSubscription"),
                           {"TopicArn": "<AlarmTopic>", "Protocol": "email", "Endpoint": s.p["AlarmEmail"]})


# --- On a schedule, on events ----------------------------------------------------

RETRIES = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 20}


def check_invocations(s):
    yield from compare("EventFunctionInvocations", s.properties("EventFunctionInvocations"), {
        "FunctionName": "<EventFunction>", "Qualifier": "$LATEST", "MaximumRetryAttempts": s.p["EventRetries"],
        "MaximumEventAgeInSeconds": 3600, "DestinationConfig": {"OnFailure": {"Destination": "<FailedEvents.Arn>"}}})


def check_schedule(s):
    if not s.schedule:
        return
    p, got = s.p, dict(s.properties("Schedule"))
    target = got.pop("Target", {})
    got.pop("Description", None)
    minutes = p["ScheduleFlexibleMinutes"]
    yield from compare("ScheduleGroup", s.properties("ScheduleGroup"), {})
    yield from compare("Schedule", got, {
        "GroupName": "<ScheduleGroup>", "ScheduleExpression": p["ScheduleExpression"], "ScheduleExpressionTimezone": p["ScheduleTimeZone"],
        "State": p["ScheduleState"],
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes} if minutes else {"Mode": "OFF"}})
    text = target.pop("Input", "")
    yield from compare("Schedule target", target, {
        "Arn": "<WindowStateMachine>" if p["ScheduleFor"] else "<EventFunction.Arn>", "RoleArn": "<ScheduleRole.Arn>", "RetryPolicy": RETRIES,
        "DeadLetterConfig": {"Arn": "<UndeliveredEvents.Arn>"}})
    try:
        event = json.loads(text)
    except ValueError as fault:
        yield f"Schedule input is not JSON: {fault}: {text}"
        return
    detail = {}
    if p["ScheduleIdentifiers"]:
        detail["identifiers"] = [int(one) for one in p["ScheduleIdentifiers"].split(",")]
    if p["ScheduleReason"]:
        detail["reason"] = p["ScheduleReason"]
    if p["ScheduleFor"]:
        yield from compare("Schedule input", event, detail | {"for": p["ScheduleFor"], "caller": "<aws.scheduler.schedule-arn>"})
        return
    yield from compare("Schedule input", event, {
        "version": "0", "id": "<aws.scheduler.execution-id>", "detail-type": "Scheduled Event", "source": "aws.scheduler",
        "account": ACCOUNT, "time": "<aws.scheduler.scheduled-time>", "region": REGION,
        "resources": ["<aws.scheduler.schedule-arn>"], "detail": detail})
    if event.get("source") not in facts.event_sources():
        yield f"Schedule input: internal/event knows no scheduled source {event.get('source')}"


def check_rule(s):
    if not s.rule:
        return
    got = {key: one for key, one in s.properties("Rule").items() if key != "Description"}
    yield from compare("Rule", got, {
        "Name": f"{NAME}-events", "EventBusName": s.p["EventBusName"], "EventPattern": s.p["EventPattern"], "State": "ENABLED",
        "Targets": [{"Id": "EventFunction", "Arn": "<EventFunction.Arn>", "RetryPolicy": RETRIES,
                     "DeadLetterConfig": {"Arn": "<UndeliveredEvents.Arn>"}}]})


# --- For a time ------------------------------------------------------------------

def machine_faults(s, name, file, suffix, substitutions, log, role):
    """One machine: its definition gets every value that it leaves open, and it is logged."""
    want = {
        "StateMachineName": f"{NAME}-{suffix}", "StateMachineType": "STANDARD", "RoleArn": f"<{role}.Arn>",
        "DefinitionS3Location": {"Bucket": "artifacts", "Key": f"statemachines/{file}.asl.json"},
        "DefinitionSubstitutions": substitutions,
        "LoggingConfiguration": {"Level": "ERROR", "IncludeExecutionData": True,
                                 "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": f"<{log}.Arn>"}}]},
        "TracingConfiguration": {"Enabled": s.p["TracingEnabled"] == "true"},
    }
    got = {key: one for key, one in s.properties(name).items() if key != "Tags"}
    for key in sorted(want.keys() | got.keys()):
        yield from compare(f"{name} {key}", got.get(key, "none"), want.get(key, "none"))
    yield from compare(f"{name}: what its definition leaves open", facts.placeholders(file), set(substitutions))


def check_windows(s):
    if not s.windows:
        return
    values = {"EventFunctionArn": "<EventFunction.Arn>", "EventFunctionName": "<EventFunction>", "Partition": "aws",
              "MaximumSeconds": s.p["WindowMaximumSeconds"], "RetrySeconds": s.p["WindowRetrySeconds"]}
    yield from machine_faults(s, "WindowStateMachine", "window", "windows", values, "WindowLogs", "WindowRole")
    yield from machine_faults(s, "ClosingStateMachine", "window", "closing", values, "WindowLogs", "WindowRole")
    rule = {key: one for key, one in s.properties("StoppedWindowRule").items() if key != "Description"}
    yield from compare("StoppedWindowRule", rule, {
        "Name": f"{NAME}-stopped-windows", "State": "ENABLED",
        "EventPattern": {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"],
                         "detail": {"stateMachineArn": ["<WindowStateMachine>"], "status": ["ABORTED", "FAILED", "TIMED_OUT"]}},
        "Targets": [{"Id": "ClosingStateMachine", "Arn": "<ClosingStateMachine>", "RoleArn": "<StoppedWindowRole.Arn>",
                     "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
                     "DeadLetterConfig": {"Arn": "<UndeliveredEvents.Arn>"}}]})
    # A call of the enabling may be under way for as long as the function runs.
    states = facts.machine("window")["States"]
    longest = FUNCTION_TIMEOUTS["EventFunction"] + 5
    yield from compare("time-out of Disable", states["Disable"]["TimeoutSeconds"], longest)
    yield from compare("time-out of Enable", f"$min([{longest}," in states["Enable"]["TimeoutSeconds"], True)
    yield from compare("a failed enabling settles after", states["Enable"]["Catch"][0]["Assign"]["settles"], f"{{% $millis() + {longest}000 %}}")


# --- From a list -----------------------------------------------------------------

def check_bulk(s):
    if not s.bulk:
        return
    p = s.p
    values = {"EventFunctionArn": "<EventFunction.Arn>", "Partition": "aws", "Bucket": "<BulkBucket>", "MaxAttempts": p["MaxAttempts"]}
    values |= {one: p[f"Bulk{one}"] for one in ("CallsPerMinute", "BatchSize", "Concurrency", "ToleratedFailurePercentage")}
    yield from machine_faults(s, "BulkStateMachine", "bulk", "bulk", values, "BulkLogs", "BulkRole")
    if p["BulkCallsPerMinute"] <= p["BulkConcurrency"] * p["BulkBatchSize"] * (p["MaxAttempts"] + 2):
        yield "BulkStateMachine would refuse every list: BulkCallsPerMinute is too low for its other parameters"
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": s.key} if s.key else {"SSEAlgorithm": "AES256"}
    encryption = {"ServerSideEncryptionByDefault": by_default} | ({"BucketKeyEnabled": True} if s.key else {})
    yield from compare("BulkBucket", s.properties("BulkBucket"), {
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True),
        "VersioningConfiguration": {"Status": "Enabled"},
        "LifecycleConfiguration": {"Rules": [{
            "Id": "forget", "Status": "Enabled", "ExpirationInDays": p["BulkResultDays"], "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]}})
    yield from compare("BulkBucketPolicy", s.properties("BulkBucketPolicy"), {"Bucket": "<BulkBucket>", "PolicyDocument": policy(
        {"Sid": "DenyWithoutTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["<BulkBucket.Arn>", "<BulkBucket.Arn>/*"],
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}})})
    # A call of a batch is never under way in the pause after it, from which the pace follows.
    send = facts.machine("bulk")["States"]["EachBatchOfCsv"]["ItemProcessor"]["States"]["Send"]
    yield from compare("time-out of Send", send["TimeoutSeconds"], FUNCTION_TIMEOUTS["EventFunction"] + 5)


# --- On demand -------------------------------------------------------------------

ACCESS_LOG = {
    "requestId", "requestTime", "caller", "sourceIp", "vpcEndpoint", "httpMethod", "path", "resourcePath", "status", "responseLength",
    "responseLatency", "integrationStatus", "functionRequestId", "error", "webAcl",
}


def check_api(s):
    p = s.p
    if s.url:
        yield from compare("ApiFunctionUrl", s.properties("ApiFunctionUrl"), {"TargetFunctionArn": "<ApiFunction.Arn>", "AuthType": "AWS_IAM"})
    if not s.api:
        return
    private = p["ApiVpcEndpointIds"]
    kind = "PRIVATE" if private else "REGIONAL"
    got = dict(s.properties("Api"))
    body = got.pop("Body", {})
    yield from compare("Api", got, {
        "Name": NAME, "Parameters": {"endpointConfigurationTypes": kind},
        "EndpointConfiguration": {"Types": [kind]} | ({"VpcEndpointIds": private.split(",")} if private else {})})
    stage = dict(s.properties("ApiprodStage"))
    log = stage.pop("AccessLogSetting", {})
    deployment = next((name for name in s.resources if name.startswith("ApiDeployment")), "")
    yield from compare("Api stage", stage, {
        "StageName": "prod", "RestApiId": "<Api>", "DeploymentId": f"<{deployment}>", "TracingEnabled": p["TracingEnabled"] == "true",
        "MethodSettings": [{
            "ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": p["ApiThrottleRate"], "ThrottlingBurstLimit": p["ApiThrottleBurst"],
            "LoggingLevel": "OFF", "DataTraceEnabled": False, "MetricsEnabled": False}]})
    if p["ApiAccessLog"] == "true":
        yield from compare("access log's group", log.get("DestinationArn"), f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:<ApiAccessLogs>")
        line = json.loads(log.get("Format", "{}"))
        yield from compare("access log's fields", set(line), ACCESS_LOG)
        yield from compare("access log's caller", line.get("caller"), "$context.identity.userArn")
        yield from compare("access log's fields that are no variable", {key for key, one in line.items() if not one.startswith("$context.")}, set())
    else:
        yield from compare("access log", log, {})
    if p["ApiWebAclArn"]:
        yield from compare("ApiWebAcl", s.properties("ApiWebAcl"), {
            "WebACLArn": p["ApiWebAclArn"], "ResourceArn": f"arn:aws:apigateway:{REGION}::/restapis/<Api>/stages/<ApiprodStage>"})
    yield from check_methods(body)
    yield from window_method_faults(s, body)
    yield from compare("resource policy", body.get("x-amazon-apigateway-policy"), resource_policy(p))


def check_methods(body):
    """Every method is signed with IAM, and goes to the function."""
    yield from compare("security schemes", {
        name: (one.get("type"), one.get("in"), one.get("name"), one.get("x-amazon-apigateway-authtype"))
        for name, one in body.get("components", {}).get("securitySchemes", {}).items()}, {"sigv4": ("apiKey", "header", "Authorization", "awsSigv4")})
    validators = body.get("x-amazon-apigateway-request-validators", {})
    for path, item in body.get("paths", {}).items():
        if path in WINDOWS:
            continue
        yield from compare(f"{path} methods", set(item), {"post"})
        for method, operation in item.items():
            where = f"{method} {path}"
            yield from compare(f"{where} security", operation.get("security"), [{"sigv4": []}])
            yield from compare(f"{where} auth of its own", operation.get("x-amazon-apigateway-auth"), None)
            integration = operation.get("x-amazon-apigateway-integration")
            yield from compare(f"{where} integration", integration, {
                "type": "aws_proxy", "httpMethod": "POST", "passthroughBehavior": "when_no_match", "timeoutInMillis": 29000,
                "uri": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/<ApiFunction.Arn>/invocations"})
            validator = validators.get(operation.get("x-amazon-apigateway-request-validator"), {})
            yield from compare(f"{where} validates", (validator.get("validateRequestBody"), validator.get("validateRequestParameters")),
                               ("{" not in path, True))


def window_method_faults(s, body):
    """Signed with IAM, validated, and straight to the one machine, with the caller as API Gateway knows it; a problem where there is none."""
    validators = body.get("x-amazon-apigateway-request-validators", {})
    for path, method, action, validates in (("/windows", "post", "StartExecution", True), ("/windows/{id}", "get", "DescribeExecution", False)):
        operation, where = body["paths"][path][method], f"{method} {path}"
        yield from compare(f"{where} security", operation.get("security"), [{"sigv4": []}])
        validator = validators.get(operation.get("x-amazon-apigateway-request-validator"), {})
        yield from compare(f"{where} validates", (validator.get("validateRequestBody"), validator.get("validateRequestParameters")), (validates, True))
        integration = dict(operation.get("x-amazon-apigateway-integration", {}))
        templates, responses = integration.pop("requestTemplates", {}), integration.pop("responses", {})
        for key, response in responses.items():
            declared = operation["responses"].get(response["statusCode"], {})
            yield from compare(f"{where}: its answer {key} is documented", bool(declared), True)
            if int(response["statusCode"]) >= 400:
                yield from compare(f"{where}: kind of its answer {key}", response.get("responseParameters"), {"method.response.header.Content-Type": "'application/problem+json'"})
                for text in re.findall(r'\{"type".*?\}', response["responseTemplates"]["application/json"]):
                    yield from compare(f"{where}: answer {key} is a problem", set(json.loads(text)), {"type", "title", "status", "detail", "instance", "code", "retryable"})
        yield from compare(where, integration, {
            "type": "aws", "httpMethod": "POST", "passthroughBehavior": "never", "timeoutInMillis": 29000, "credentials": "<ApiWindowRole.Arn>",
            "uri": f"arn:aws:apigateway:{REGION}:states:action/{action}"})
        yield from compare(f"{where} templates", set(templates), {"application/json"})
        text = templates.get("application/json", "")
        if method == "post":
            for part in (f'"stateMachineArn": "arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{NAME}-windows"', "$util.escapeJavaScript($context.identity.userArn)",
                         '$util.escapeJavaScript($body.substring(0, $end)).replaceAll("\\\\\'", "\'")', '\\"caller\\":\\"$util.escapeJavaScript($caller)'):
                yield from compare(f"{where}: its template has {part}", part in text, True)
            yield from compare(f"{where}: quotes that JSON does not know are unescaped", text.count("escapeJavaScript"), text.count("replaceAll"))
        else:
            want = f'arn:aws:states:{REGION}:{ACCOUNT}:execution:{NAME}-windows:#if($id.matches("[A-Za-z0-9_-]{{1,80}}"))$id#{{else}}none#end'
            yield from compare(f"{where}: its template asks for", want in text.replace("#<else>", "#{else}"), True)


def resource_policy(p):
    callers, endpoints = p["ApiCallers"].split(","), p["ApiVpcEndpointIds"].split(",")
    def statement(sid, effect, **condition):
        return {"Sid": sid, "Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*", "Condition": condition}
    if p["ApiCallers"]:
        statements = [statement("DenyEveryoneElse", "Deny", ArnNotLike={"aws:PrincipalArn": callers}),
                      statement("AllowCallers", "Allow", ArnLike={"aws:PrincipalArn": callers})]
    else:
        statements = [statement("DenyEveryoneElse", "Deny", StringNotEquals={"aws:PrincipalAccount": ACCOUNT})]
    if p["ApiVpcEndpointIds"]:
        statements.append(statement("DenyOtherEndpoints", "Deny", StringNotEquals={"aws:SourceVpce": endpoints}))
    return policy(*statements)


# --- Alarms and dashboard --------------------------------------------------------

def metric(namespace, name, stat, period, **dimensions):
    return (namespace, name, stat, period, tuple(sorted(dimensions.items())))


def metrics_of(properties):
    """The metrics that an alarm watches."""
    def dimensions(one):
        return {d["Name"]: d["Value"] for d in one.get("Dimensions", [])}
    if "Metrics" not in properties:
        return [metric(properties.get("Namespace"), properties.get("MetricName"), properties.get("Statistic"), properties.get("Period"), **dimensions(properties))]
    return [metric(m["Metric"]["Namespace"], m["Metric"]["MetricName"], m["Stat"], m["Period"], **dimensions(m["Metric"]))
            for m in (one.get("MetricStat") for one in properties["Metrics"]) if m]


def expected_alarms(s):
    """Of each alarm: what it watches, its comparison, threshold, periods, and what no data means."""
    above, below = "GreaterThanOrEqualToThreshold", "LessThanThreshold"
    for name, codes in CODE_GROUPS.items():
        watched = [metric("Segura", "Failed", "Sum", 300, Function=f"<{function}>", Code=code) for function in s.functions for code in codes]
        yield name, (watched, above, 5 if name == "RefusedAlarm" else 1, 1, "notBreaching")
    for function in s.functions:
        short = function.removesuffix("Function")
        limit = {"ApiFunction": 20000, "EventFunction": 810000}[function]
        for alarm, measure, stat, threshold in (("Errors", "Errors", "Sum", 1), ("Throttles", "Throttles", "Sum", 1), ("Duration", "Duration", "Maximum", limit)):
            watched = [metric("AWS/Lambda", measure, stat, 300, FunctionName=f"<{function}>")]
            yield f"{short}{alarm}Alarm", (watched, above, threshold, 1, "notBreaching")
    if s.api:
        yield "Api5xxAlarm", ([metric("AWS/ApiGateway", "5XXError", "Sum", 300, ApiName=NAME, Stage="prod")], above, 1, 1, "notBreaching")
    for queue in ("FailedEvents", "UndeliveredEvents"):
        watched = [metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 300, QueueName=f"<{queue}.QueueName>")]
        yield f"{queue}Alarm", (watched, above, 1, 1, "notBreaching")
    lost = [metric("AWS/Lambda", one, "Sum", 300, FunctionName="<EventFunction>") for one in ("DestinationDeliveryFailures", "AsyncEventsDropped")]
    if s.schedule:
        lost += [metric("AWS/Scheduler", one, "Sum", 300, ScheduleGroup="<ScheduleGroup>")
                 for one in ("InvocationDroppedCount", "InvocationsFailedToBeSentToDeadLetterCount")]
    if s.rule:
        bus = {} if s.p["EventBusName"] == "default" else {"EventBusName": s.p["EventBusName"]}
        lost += [metric("AWS/Events", one, "Sum", 300, RuleName=f"{NAME}-events", **bus) for one in ("FailedInvocations", "InvocationsFailedToBeSentToDlq")]
    if s.windows:
        lost += [metric("AWS/Events", one, "Sum", 300, RuleName=f"{NAME}-stopped-windows") for one in ("FailedInvocations", "InvocationsFailedToBeSentToDlq")]
        both = ("WindowStateMachine", "ClosingStateMachine")
        failed = [metric("AWS/States", one, "Sum", 300, StateMachineArn=f"<{machine}>") for machine in both for one in ("ExecutionsFailed", "ExecutionsTimedOut")]
        stopped = [metric("AWS/States", "ExecutionsAborted", "Sum", 300, StateMachineArn=f"<{machine}>") for machine in both]
        overdue = [metric("Segura", "WindowsOverdue", "Sum", 900, Function="<EventFunction>")]
        for name, watched in (("Failed", failed), ("Stopped", stopped), ("Overdue", overdue)):
            yield f"Windows{name}Alarm", (watched, above, 1, 1, "notBreaching")
    if s.bulk:
        failed = [metric("AWS/States", f"Executions{one}", "Sum", 300, StateMachineArn="<BulkStateMachine>") for one in ("Failed", "TimedOut", "Aborted")]
        yield "BulkFailedAlarm", (failed, above, 1, 1, "notBreaching")
    yield "DeliveryAlarm", (lost, above, 1, 1, "notBreaching")
    if s.schedule and s.p["ScheduleState"] == "ENABLED" and (hours := s.p["NoSuccessHours"]):
        watched = [metric("Segura", one, "Sum", 3600, Function="<EventFunction>") for one in ("Enabled", "AlreadyEnabled")]
        yield "NoSuccessAlarm", (watched, below, 1, hours, "breaching")


def check_alarms(s):
    for name, (watched, comparison, threshold, periods, missing) in expected_alarms(s):
        p = s.properties(name)
        yield from compare(f"{name} watches", sorted(metrics_of(p)), sorted(watched))
        yield from compare(f"{name} compares", (p.get("ComparisonOperator"), p.get("Threshold"), p.get("EvaluationPeriods"), p.get("TreatMissingData")),
                           (comparison, threshold, periods, missing))
        yield from compare(f"{name} datapoints", p.get("DatapointsToAlarm", periods), periods)
        for actions in ("AlarmActions", "OKActions"):
            yield from compare(f"{name} {actions}", p.get(actions), [s.topic])
        yield from compare(f"{name} actions enabled", p.get("ActionsEnabled", True), True)
        if not str(p.get("AlarmName", "")).startswith(f"{NAME}-") or not p.get("AlarmDescription"):
            yield f"{name}: its name does not begin with the stack's, which the topic's policy asks for, or it has no description"
        if "Metrics" in p:
            queries = p["Metrics"]
            yield from compare(f"{name} expression", [one.get("Expression") for one in queries if "MetricStat" not in one], ["SUM(METRICS())"])
            yield from compare(f"{name} returns", [one.get("ReturnData") for one in queries], ["Expression" in one for one in queries])
            ids = [one.get("Id", "") for one in queries]
            if len(set(ids)) != len(ids) or not all(re.fullmatch(r"[a-z]\w*", one) for one in ids):
                yield f"{name}: the ids are {ids}"
        single = {"Namespace", "MetricName", "Dimensions", "Statistic", "Period"}
        common = {"AlarmName", "AlarmDescription", "AlarmActions", "OKActions", "ComparisonOperator", "Threshold", "EvaluationPeriods", "TreatMissingData"}
        yield from compare(f"{name} keys", set(p) - {"DatapointsToAlarm"}, common | ({"Metrics"} if "Metrics" in p else single))
        if len(watched) > 10:
            yield f"{name} watches {len(watched)} metrics, 10 are allowed"
        if watched and watched[0][3] * periods > (604800 if watched[0][3] >= 3600 else 86400):
            yield f"{name} looks back further than CloudWatch does"


def check_metric_names(s):
    """Names and dimensions are those that internal/telemetry emits, and no code is left unwatched."""
    namespace, names = facts.metrics()
    codes = {}
    for name, alarm in s.of_type("AWS::CloudWatch::Alarm").items():
        for space, measure, _, _, dimensions in metrics_of(alarm["Properties"]):
            if str(space).startswith("AWS/"):
                continue
            keys = tuple(key for key, _ in dimensions)
            if space == namespace and measure in facts.machine_metrics() and keys == ("Function",):
                continue
            if space != namespace or measure not in names or keys not in ((("Function",), ("Code", "Function")) if measure == "Failed" else (("Function",),)):
                yield f"{name} watches {space} {measure} {keys}, which the code does not emit"
            if "Code" in keys:
                codes.setdefault(dict(dimensions)["Function"], []).append(dict(dimensions)["Code"])
    for function in s.functions:
        yield from compare(f"codes watched of {function}", sorted(codes.get(f"<{function}>", [])), sorted(facts.codes()))


def check_dashboard(s):
    if s.p["DashboardEnabled"] != "true":
        return
    properties = s.properties("Dashboard")
    yield from compare("Dashboard name", properties.get("DashboardName"), f"{NAME}-{REGION}")
    try:
        widgets = json.loads(properties.get("DashboardBody", ""))["widgets"]
    except (ValueError, KeyError) as fault:
        yield f"Dashboard is not JSON: {fault}"
        return
    namespace, names = facts.metrics()
    shown, listed, searched = set(), [], set()
    yield from compare("Dashboard's widgets", [widget["type"] for widget in widgets], ["alarm"] + ["metric"] * 6 + ["log"] + ["metric"] * (s.windows + s.bulk))
    for widget in widgets:
        p = widget["properties"]
        if widget["type"] != "alarm":
            yield from compare(f"Dashboard: region of {p['title']}", p.get("region"), REGION)
        if widget["x"] + widget["width"] > 24:
            yield f"Dashboard: {p['title']} is too wide"
        if widget["type"] == "alarm":
            listed += p["alarms"]
        elif widget["type"] == "log":
            sources, _, rest = p["query"].partition(" | filter ")
            yield from compare("Dashboard's logs", sorted(sources.split(" | ")), sorted(f"SOURCE '<{one}Logs>'" for one in s.functions))
            condition, _, rest = rest.partition(" | fields ")
            yield from compare("Dashboard's filter", condition, "message = 'audit' and outcome = 'failed'")
            fields = set(rest.partition(" | sort ")[0].split(", "))
            yield from compare("Dashboard's fields that no audit line has", fields - facts.audit_keys(), set())
        for line in p.get("metrics", []):
            if isinstance(line[0], dict):
                searched.add(line[0]["expression"])
            elif line[0] == namespace:
                yield from compare(f"Dashboard's dimension of {line[1]}", line[2], "Function")
                shown.add((line[1], line[3]))
            else:
                shown.add(tuple(one for one in line if isinstance(one, str)))
    want = {(name, f"<{function}>") for name in names for function in s.functions}
    want |= {("AWS/Lambda", one, "FunctionName", f"<{function}>") for one in ("Invocations", "Errors", "Throttles", "Duration") for function in s.functions}
    want |= {("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", f"<{queue}.QueueName>") for queue in ("FailedEvents", "UndeliveredEvents")}
    if s.api:
        want |= {("AWS/ApiGateway", one, "ApiName", NAME, "Stage", "prod") for one in ("Count", "4XXError", "5XXError")}
    if s.windows:
        want |= {(one, "<EventFunction>") for one in facts.machine_metrics()}
        want |= {("AWS/States", one, "StateMachineArn", "<WindowStateMachine>") for one in (
            "ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsAborted")}
        want |= {("AWS/States", one, "StateMachineArn", "<ClosingStateMachine>") for one in ("ExecutionsSucceeded", "ExecutionsFailed")}
    if s.bulk:
        want |= {("AWS/States", f"Executions{one}", "StateMachineArn", "<BulkStateMachine>") for one in ("Started", "Succeeded", "Failed")}
    yield from compare("Dashboard's metrics", shown, want)
    yield from compare("Dashboard's searches", searched, {
        f"SEARCH('{{{namespace},Function,Code}} MetricName=\"Failed\" Function=\"<{function}>\"', 'Sum', 300)" for function in s.functions})
    yield from compare("Dashboard's alarms", sorted(listed), sorted(f"<{name}.Arn>" for name in s.of_type("AWS::CloudWatch::Alarm")))


EACH = [one for name, one in list(globals().items()) if name.startswith("check_") and name not in ("check_document", "check_samples", "check_methods")]


# --- Once: the source, and what stands beside it ---------------------------------

# Parameters that are a variable of the functions, and have its default.
VARIABLES = {
    "CredentialsTtl": "SEGURA_CREDENTIALS_TTL", "AttemptTimeout": "SEGURA_ATTEMPT_TIMEOUT", "MaxAttempts": "SEGURA_MAX_ATTEMPTS",
    "MaxConcurrency": "SEGURA_MAX_CONCURRENCY", "AllowedIdentifiers": "SEGURA_ALLOWED_IDENTIFIERS",
    "DefaultIdentifiers": "SEGURA_DEFAULT_IDENTIFIERS", "AllowedEventSources": "SEGURA_ALLOWED_EVENT_SOURCES",
}

# The other parameters' defaults, where they are not empty.
DEFAULTS = {
    "ApiEnabled": "true", "ApiThrottleRate": 10, "ApiThrottleBurst": 20, "ApiAccessLog": "false", "FunctionUrlEnabled": "false",
    "ScheduleTimeZone": "UTC", "ScheduleState": "ENABLED", "ScheduleFlexibleMinutes": 0, "EventBusName": "default", "EventRetries": 2,
    "NoSuccessHours": 26, "DashboardEnabled": "true", "Architecture": "arm64", "MemorySize": 128, "ApiReservedConcurrency": -1,
    "BulkEnabled": "false", "BulkCallsPerMinute": 600, "BulkBatchSize": 50, "BulkConcurrency": 1, "BulkToleratedFailurePercentage": 0, "BulkResultDays": 90,
    "WindowsEnabled": "false", "WindowMaximumSeconds": 86400, "WindowRetrySeconds": 86400, "EventReservedConcurrency": -1, "LogLevel": "INFO", "LogRetentionDays": 90, "TracingEnabled": "false",
}


def source_parameters(source, _):
    """Every parameter is used, described, grouped and bounded as the code is."""
    declared = source["Parameters"]
    grouped = [name for group in source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"] for name in group["Parameters"]]
    yield from compare("parameters in groups", sorted(grouped), sorted(declared))
    used = set(stacks.references({key: value for key, value in source.items() if key != "Parameters"}))
    yield from compare("parameters that nothing uses", set(declared) - used, set())
    for name, parameter in declared.items():
        if len(parameter.get("Description", "")) < 10:
            yield f"parameter {name} has no description"
        if re.search("password|client_?secret|token", name, re.I) or parameter.get("NoEcho"):
            yield f"parameter {name}: no credential passes through a parameter"
    defaults = facts.environment()
    for name, variable in VARIABLES.items():
        yield from compare(f"default of {name}", str(declared[name]["Default"]), defaults[variable])
    for name, bound in facts.bounds().items():
        yield from compare(f"bounds of {name}", (declared[name].get("MinValue"), declared[name].get("MaxValue")), (1, bound))
    for name, parameter in declared.items():
        if name not in VARIABLES:
            yield from compare(f"default of {name}", parameter.get("Default"), DEFAULTS.get(name, ""))


def source_conditions(source, _):
    """Every condition is used."""
    text = json.dumps({key: value for key, value in source.items() if key != "Conditions"})
    for name in source["Conditions"]:
        others = json.dumps({key: value for key, value in source["Conditions"].items() if key != name})
        if f'"{name}"' not in text + others:
            yield f"condition {name} is not used"


def source_rules(source, _):
    """The Rules let the good sets through, and refuse the others by name."""
    for name, given in sets.SETS.items():
        yield from compare(f"rules broken by {name}", stacks.broken_rules(source, given), [])
    for rule, given in sets.REFUSED:
        yield from compare(f"rules broken by {given}", stacks.broken_rules(source, given), [rule])
    yield from compare("rules", set(source["Rules"]), {rule for rule, _ in sets.REFUSED})
    for name, values in sets.WRONG_VALUES.items():
        for value in values:
            try:
                stacks.parameters(source, {name: value})
                yield f"parameter {name} takes {value!r}"
            except stacks.Invalid:
                pass
    for name, values in sets.RIGHT_VALUES.items():
        for value in values:
            try:
                stacks.parameters(source, {name: value})
            except stacks.Invalid as fault:
                yield str(fault)
    retention = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, "AWS::Logs::LogGroup").schema["properties"]["RetentionInDays"]["enum"]
    yield from compare("values of LogRetentionDays", source["Parameters"]["LogRetentionDays"]["AllowedValues"], retention)
    for name, parameter in source["Parameters"].items():
        if parameter["Type"] not in ("String", "Number"):
            yield f"parameter {name}: its type is {parameter['Type']}"


def source_api(source, _):
    """What a translation no longer shows."""
    yield from compare("sections", set(source), {
        "AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Rules", "Conditions", "Globals", "Resources", "Outputs"})
    yield from compare("AWSTemplateFormatVersion", source.get("AWSTemplateFormatVersion"), "2010-09-09")
    yield from compare("Transform", source.get("Transform"), "AWS::Serverless-2016-10-31")
    yield from compare("CodeUri", source["Globals"]["Function"].get("CodeUri"), ".")
    yield from compare("checks that cfn-lint leaves out", source["Metadata"]["cfn-lint"], {"config": {"ignore_checks": ["W1030", "W1033", "W8001"]}})
    p = source["Resources"]["Api"]["Properties"]
    yield from compare("AlwaysDeploy", p.get("AlwaysDeploy"), True)
    yield from compare("OpenApiVersion", p.get("OpenApiVersion"), p["DefinitionBody"]["openapi"])  # else SAM adds a stage named Stage
    yield from compare("Api Auth", p.get("Auth"), None)
    for name, one in source["Resources"].items():
        kept = {"AWS::Serverless::Function": ("AutoPublishAlias", "Policies", "Events"), "AWS::Serverless::Api": ("Auth", "Cors")}
        for key in kept.get(one["Type"], ()):
            if key in one["Properties"]:
                yield f"{name} has {key}: what it makes is written out in this template instead"


def source_application(source, root):
    """The metadata for the Serverless Application Repository."""
    application = source["Metadata"]["AWS::ServerlessRepo::Application"]
    versions = facts.versions() | {"template.yaml": application.get("SemanticVersion")}
    if len(set(versions.values())) != 1:
        yield f"the version differs: {versions}"
    for key in ("Name", "Description", "Author", "SpdxLicenseId", "LicenseUrl", "ReadmeUrl", "Labels"):
        if not application.get(key):
            yield f"application metadata: no {key}"
    for key in ("LicenseUrl", "ReadmeUrl"):
        if not (root / application.get(key, "none")).is_file():
            yield f"application metadata: {key} names no file"


def source_documentation(source, _):
    """The documentation lists the variables that the code reads, with their defaults, and names nothing that there is not."""
    written = {"": {"empty", "required"}}
    documented = facts.documented_environment()
    yield from compare("docs/configuration.md: variables", set(documented), set(facts.environment()))
    for name, default in facts.environment().items():
        if documented.get(name) not in written.get(default, {default}):
            yield f"docs/configuration.md: default of {name} is {documented.get(name)}, the code's is {default or 'empty'}"
    names = {name for section in ("Parameters", "Resources", "Outputs") for name in source[section]} | facts.metrics()[1]
    for page, named in facts.documented_names().items():
        yield from compare(f"{page}: names that are neither the template's nor a metric's", named - names, set())


def source_makefile(source, root):
    """sam build finds a target for each function."""
    text = (root / "Makefile").read_text("utf-8")
    for name, one in source["Resources"].items():
        if one["Type"] == "AWS::Serverless::Function" and f"build-{name}" not in text:
            yield f"Makefile has no target build-{name}"


def source_samconfig(source, root):
    """samconfig.toml speaks of parameters that there are, and holds no account's data."""
    text = (root / "samconfig.toml").read_text("utf-8")
    config = tomllib.loads(text)
    for section in ("build", "validate", "deploy", "local_invoke", "local_start_api"):
        if not config.get("default", {}).get(section, {}).get("parameters"):
            yield f"samconfig.toml has no section default.{section}.parameters"
    if re.search(r"\b\d{12}\b|AKIA|ASIA", text):
        yield "samconfig.toml holds an account's data"
    options = {section: one["parameters"] for section, one in config["default"].items()}
    yield from compare("samconfig.toml build_in_source", options["build"].get("build_in_source"), True)
    yield from compare("samconfig.toml lint", options["validate"].get("lint"), True)
    yield from compare("samconfig.toml capabilities", options["deploy"].get("capabilities"), "CAPABILITY_IAM")
    yield from compare("samconfig.toml confirm_changeset", options["deploy"].get("confirm_changeset"), True)
    variables = set(source["Globals"]["Function"]["Environment"]["Variables"])
    files = {one["parameters"]["env_vars"] for one in config["default"].values() if "env_vars" in one.get("parameters", {})}
    for file in files:
        local = json.loads((root / file).read_text("utf-8"))
        yield from compare(f"{file} functions", set(local), {"Parameters"})
        if unknown := set(local["Parameters"]) - variables:
            yield f"{file}: sam local passes over {sorted(unknown)}, which the template does not declare"


ONCE = [one for name, one in list(globals().items()) if name.startswith("source_")]


@functools.lru_cache(2)
def document_faults(text):
    document = json.loads(stacks.as_json(text))
    return [f"openapi.yaml: {fault}" for one in (check_document, check_samples) for fault in one(document)]


def check(texts, root=stacks.ROOT):
    """All that is wrong with the template, one line each. What cannot even be read is a fault like any other."""
    try:
        source = stacks.parse(texts)
        for one in ONCE:
            yield from (f"{one.__name__}: {fault}" for fault in one(source, Path(root)))
        yield from document_faults(texts["openapi.yaml"])
    except Exception as fault:
        yield f"cannot be read: {type(fault).__name__}: {fault}"
    for name, parameters in sets.SETS.items():
        try:
            s = Stack(texts, name, parameters)
            for one in EACH:
                yield from (f"{name}: {one.__name__}: {fault}" for fault in one(s))
        except Exception as fault:
            yield f"{name}: cannot be resolved: {type(fault).__name__}: {fault}"

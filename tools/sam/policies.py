"""Who may do what: every policy of every stack, whole. One more action, or one less
condition, is a difference.
"""

from stack import ACCOUNT, NAME, REGION, STACK_ID, compare

VIA = "amazonaws.com"
BULK = f"segura-enable-bulk-{STACK_ID}"


def allow(sid, action, resource, **condition):
    statement = {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": {"StringEquals": condition}} if condition else {})


def function_statements(s, name):
    p = s.p
    yield allow("WriteLog", ["logs:CreateLogStream", "logs:PutLogEvents"], f"<{name}Logs.Arn>")
    if name in ("EventFunction", "WindowFunction"):
        yield from queue_statements(s, "HandOverFailedEvents", "FailedEvents")
        if s.results:
            yield allow("TellResults", "events:PutEvents", s.results)
    if name in s.window_functions:
        yield from table_statements(s, name)
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


def table_statements(s, name):
    """A transaction asks for what is in it. What a run leaves for the next is an update."""
    actions = ["GetItem", "Query", "PutItem"] + ["UpdateItem"] * (name == "WindowFunction") + ["DeleteItem"]
    yield allow("UseTable", [f"dynamodb:{one}" for one in actions], "<WindowsTable.Arn>")
    if s.key:
        yield allow("UseKeyOfTable", ["kms:Decrypt", "kms:DescribeKey"], s.key, **{"kms:ViaService": f"dynamodb.{REGION}.{VIA}"})


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(service, **condition):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return policy(statement | ({"Condition": condition} if condition else {}))


def machine_statements(s):
    """What every machine needs for its own log and traces."""
    yield allow("DeliverLog", [f"logs:{one}" for one in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups")], "*")
    if s.p["TracingEnabled"] == "true":
        yield allow("WriteTraces", [f"xray:{one}" for one in ("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets")], "*")


def bulk_statements(s):
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}"
    yield allow("Invoke", "lambda:InvokeFunction", "<EventFunction.Arn>")
    yield allow("ReadLists", "s3:GetObject", "<BulkBucket.Arn>/lists/*")
    yield allow("WriteResults", "s3:PutObject", "<BulkBucket.Arn>/results/*")
    yield allow("StartBatches", "states:StartExecution", f"{arn}:stateMachine:{BULK}")
    yield allow("FollowBatches", [f"states:{one}Execution" for one in ("Describe", "Stop", "Redrive")], f"{arn}:execution:{BULK}/*")
    yield allow("CountRows", ["states:ListMapRuns", "states:DescribeMapRun"], [f"{arn}:execution:{BULK}:*", f"{arn}:mapRun:{BULK}/*"])
    yield allow("ReportFailedRows", "cloudwatch:PutMetricData", "*", **{"cloudwatch:namespace": "Segura"})
    if s.key:
        yield allow("UseKeyOfBucket", ["kms:GenerateDataKey", "kms:Decrypt"], s.key, **{"kms:ViaService": f"s3.{REGION}.{VIA}"})
    yield from machine_statements(s)


def pipe_statements(s):
    stream = [f"dynamodb:{one}" for one in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")]
    yield allow("ReadStream", stream, "<WindowsTable.StreamArn>")
    if s.key:
        yield allow("UseKeyOfTable", ["kms:Decrypt", "kms:DescribeKey"], s.key, **{"kms:ViaService": f"dynamodb.{REGION}.{VIA}"})
    yield allow("TellWindows", "events:PutEvents", s.results)
    yield from queue_statements(s, "HandOverUndeliveredEvents", "UndeliveredEvents")


def audit_statements(s):
    yield allow("WriteObjects", ["s3:PutObject", "s3:AbortMultipartUpload"], "<AuditBucket.Arn>/*")
    yield allow("FindBucket", ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], "<AuditBucket.Arn>")
    yield allow("WriteLog", "logs:PutLogEvents", "<AuditStreamLogs.Arn>")
    if s.key:
        yield allow("UseKeyOfBucket", ["kms:GenerateDataKey", "kms:Decrypt"], s.key, **{"kms:ViaService": f"s3.{REGION}.{VIA}"})


def check_roles(s):
    """Each role, statement by statement."""
    want = {f"{name}Role": (trust("lambda.amazonaws.com"), "function", policy(*function_statements(s, name))) for name in s.functions}
    if s.schedule or s.windows:
        targets = ["<EventFunction.Arn>"] * (s.schedule and not s.p["ScheduleFor"]) + ["<WindowFunction.Arn>"] * s.windows
        groups = ["<ScheduleGroup.Arn>"] * s.schedule + ["<ReconcileGroup.Arn>"] * s.windows
        want["ScheduleRole"] = (
            trust("scheduler.amazonaws.com", StringEquals={"aws:SourceAccount": ACCOUNT}, ArnEquals={"aws:SourceArn": groups}),
            "schedule",
            policy(allow("Invoke", "lambda:InvokeFunction", targets), *queue_statements(s, "HandOverUndeliveredEvents", "UndeliveredEvents")))
    if s.bulk:
        role = trust("states.amazonaws.com", StringEquals={"aws:SourceAccount": ACCOUNT},
                     ArnLike={"aws:SourceArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{BULK}*"})
        want["BulkRole"] = (role, "bulk", policy(*bulk_statements(s)))
    if s.results and s.windows:
        role = trust("pipes.amazonaws.com", StringEquals={"aws:SourceAccount": ACCOUNT},
                     ArnEquals={"aws:SourceArn": f"arn:aws:pipes:{REGION}:{ACCOUNT}:pipe/segura-enable-window-{STACK_ID}"})
        want["WindowPipeRole"] = (role, "pipe", policy(*pipe_statements(s)))
    if s.audit:
        want["AuditStreamRole"] = (trust("firehose.amazonaws.com", StringEquals={"sts:ExternalId": ACCOUNT}), "stream", policy(*audit_statements(s)))
        want["AuditSubscriptionRole"] = (
            trust("logs.amazonaws.com", StringLike={"aws:SourceArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:*"}), "subscription",
            policy(allow("HandOverAuditLines", ["firehose:PutRecord", "firehose:PutRecordBatch"], f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/segura-enable-audit-{STACK_ID}")))
    for name, one in s.resources.items():
        if one["Type"].startswith("AWS::IAM::") and name not in want:
            yield f"{name}: an IAM resource that nobody asked for"
    for name, (trusted, policy_name, document) in want.items():
        got = {key: value for key, value in s.properties(name).items() if key != "Description"}
        place = {"Path": s.p["RolePath"]} | ({"PermissionsBoundary": s.p["PermissionsBoundaryArn"]} if s.p["PermissionsBoundaryArn"] else {})
        yield from compare(f"{name} path and boundary", {key: got.pop(key) for key in ("Path", "PermissionsBoundary") if key in got}, place)
        yield from compare(f"{name} keys", sorted(got), ["AssumeRolePolicyDocument", "Policies"])
        yield from compare(f"{name} trust", got.get("AssumeRolePolicyDocument"), trusted)
        policies = got.get("Policies", [])
        yield from compare(f"{name} policies", [one["PolicyName"] for one in policies], [policy_name])
        for one in policies:
            given = one["PolicyDocument"]
            yield from compare(f"{name} policy", given | {"Statement": len(given["Statement"])}, document | {"Statement": len(document["Statement"])})
            have, need = ({statement.get("Sid"): statement for statement in whole["Statement"]} for whole in (given, document))
            for sid in sorted(have.keys() | need.keys(), key=str):
                yield from compare(f"{name} statement {sid}", have.get(sid, "none"), need.get(sid, "none"))


def check_permissions(s):
    """Who else may invoke the functions."""
    want = {}
    if s.api:
        want["ApiMayInvokeFunction"] = {
            "Action": "lambda:InvokeFunction", "FunctionName": "<ApiFunction>", "Principal": "apigateway.amazonaws.com",
            "SourceArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:<Api>/prod/POST/api-secrets/*"}
        want["ApiMayInvokeWindowFunction"] = {
            "Action": "lambda:InvokeFunction", "FunctionName": "<WindowApiFunction>" if s.windows else "<ApiFunction>", "Principal": "apigateway.amazonaws.com",
            "SourceArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:<Api>/prod/*/windows*"}
    if s.rule:
        want["RuleMayInvokeFunction"] = {
            "Action": "lambda:InvokeFunction", "FunctionName": "<EventFunction>", "Principal": "events.amazonaws.com", "SourceArn": "<Rule.Arn>"}
    got = {name: one["Properties"] for name, one in s.of_type("AWS::Lambda::Permission").items()}
    yield from compare("permissions", got, want)


# --- Policies of queues, topic and bucket ----------------------------------------

def deny_without_tls(action, resource):
    return {"Sid": "DenyWithoutTls", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


def hand_over(sid, rule, queue):
    return {"Sid": sid, "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": f"<{queue}.Arn>", "Condition": {"ArnEquals": {"aws:SourceArn": f"<{rule}.Arn>"}}}


def resource_policies(s):
    """The policy of each resource that has one: nothing plain, and nobody but those who deliver."""
    results = bool(s.results)
    yield "FailedEventsPolicy", {"Queues": ["<FailedEvents>"], "PolicyDocument": policy(
        deny_without_tls("sqs:*", "<FailedEvents.Arn>"), *[hand_over("HandOverFailedResults", "FailedResultsRule", "FailedEvents")] * results)}
    yield "UndeliveredEventsPolicy", {"Queues": ["<UndeliveredEvents>"], "PolicyDocument": policy(
        deny_without_tls("sqs:*", "<UndeliveredEvents.Arn>"), *[hand_over("HandOverUndeliveredEvents", "Rule", "UndeliveredEvents")] * s.rule,
        *[hand_over("HandOverUndeliveredResults", "FailedResultsRule", "UndeliveredEvents")] * results)}
    if not s.p["AlarmTopicArn"]:
        yield "AlarmTopicPolicy", {"Topics": ["<AlarmTopic>"], "PolicyDocument": policy(
            {"Sid": "PublishAlarms", "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish",
             "Resource": "<AlarmTopic>", "Condition": {
                 "StringEquals": {"aws:SourceAccount": ACCOUNT},
                 "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{NAME}-*"}}},
            deny_without_tls("sns:Publish", "<AlarmTopic>"))}
    for name in s.of_type("AWS::S3::Bucket"):
        yield f"{name}Policy", {"Bucket": f"<{name}>", "PolicyDocument": policy(
            deny_without_tls("s3:*", [f"<{name}.Arn>", f"<{name}.Arn>/*"]))}


def check_resource_policies(s):
    want = dict(resource_policies(s))
    got = {name: one["Properties"] for name, one in s.resources.items() if one["Type"].endswith("Policy")}
    for name in sorted(want.keys() | got.keys()):
        yield from compare(name, got.get(name, "none"), want.get(name, "none"))
    for name, one in s.of_type("AWS::S3::Bucket").items():
        yield from compare(f"{name}'s public access", one["Properties"].get("PublicAccessBlockConfiguration"), dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True))


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

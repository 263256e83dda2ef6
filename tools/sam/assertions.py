"""What has to be true of every stack that the template makes: nobody gets in who
should not, nothing is lost in silence, and all of it agrees with the code.

Each check gets one resolved stack and yields what is wrong with it. Who may do what
is in policies.py, and how all the rest looks in the golden copies.
"""

import fnmatch
import functools
import json
import re
from pathlib import Path

import facts
import golden
import policies
import sets
import source as sources
import stack as stacks
from openapi import check_document, check_samples
from stack import ACCOUNT, NAME, REGION, STACK_ID, Stack, compare

PROCESS_VARIABLES = {"AWS_ENDPOINT_URL_SECRETS_MANAGER", "GODEBUG", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR"}
FUNCTION_TIMEOUTS = {"ApiFunction": 25, "EventFunction": 900, "WindowApiFunction": 25, "WindowFunction": 900}


# --- The whole -------------------------------------------------------------------

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
        keeps = one["Type"] in ("AWS::Logs::LogGroup", "AWS::SecretsManager::Secret", "AWS::S3::Bucket", "AWS::DynamoDB::Table")
        yield from compare(f"{name} DeletionPolicy", one.get("DeletionPolicy", "none"), "RetainExceptOnCreate" if keeps else "none")
        yield from compare(f"{name} UpdateReplacePolicy", one.get("UpdateReplacePolicy", "none"), "Retain" if keeps else "none")


# --- Functions -------------------------------------------------------------------

def check_functions(s):
    """Each gets every variable that it acts on, and the time that others count on."""
    for name in s.functions:
        variables = set(s.properties(name)["Environment"]["Variables"])
        want = set(facts.variables() if name in s.window_functions else facts.CODE["variables"]) | PROCESS_VARIABLES
        # Only EventFunction gets scheduled events without a detail, and the variables of a function have 4 KB together.
        yield from compare(f"{name} variables", variables, want - ({"SEGURA_DEFAULT_IDENTIFIERS"} if name != "EventFunction" else set()))
        yield from compare(f"{name} Timeout", s.properties(name)["Timeout"], FUNCTION_TIMEOUTS[name])


# The property that takes a key of one's own.
KEYS = {"AWS::Lambda::Function": "KmsKeyArn", "AWS::Logs::LogGroup": "KmsKeyId", "AWS::SecretsManager::Secret": "KmsKeyId",
        "AWS::SQS::Queue": "KmsMasterKeyId", "AWS::SNS::Topic": "KmsMasterKeyId"}


def check_keys(s):
    """All that can be under one's own key is, where there is one."""
    for name, one in s.resources.items():
        if key := KEYS.get(one["Type"]):
            yield from compare(f"{name} {key}", one.get("Properties", {}).get(key, ""), s.key)


# --- On a schedule, for a time, from a list --------------------------------------

def check_failures(s):
    """What fails for good, or cannot be delivered, ends in a queue."""
    for name in ("EventFunction", "WindowFunction"):
        p = s.properties(f"{name}Invocations")
        want = {"OnFailure": {"Destination": s.results or "<FailedEvents.Arn>"}}
        if s.results and name == "EventFunction":
            want["OnSuccess"] = {"Destination": s.results}
        yield from compare(f"results of {name}", (p.get("FunctionName"), p.get("DestinationConfig")), (f"<{name}>", want))
    targets = [one["Properties"]["Target"] for one in s.of_type("AWS::Scheduler::Schedule").values()]
    for target in targets + [target for one in s.of_type("AWS::Events::Rule").values() for target in one["Properties"]["Targets"]]:
        yield from compare(f"undelivered events for {target['Arn']} go to", target.get("DeadLetterConfig"), {"Arn": "<UndeliveredEvents.Arn>"})


def check_results(s):
    """What fails comes from the bus into the queue, as it would without one; and a window's change is told as the code writes it."""
    p = s.properties("FailedResultsRule")
    got = (p.get("EventBusName"), p.get("State"), p.get("EventPattern"), [(one["Arn"], one.get("InputPath")) for one in p.get("Targets", [])])
    functions = [{"prefix": f"<{name}.Arn>"} for name in ("EventFunction", "WindowFunction")]
    pattern = {"source": ["lambda"], "detail": {"requestContext": {"functionArn": functions, "condition": [{"anything-but": "Success"}]}}}
    want = (s.p["ResultsEventBusName"], "ENABLED", pattern, [("<FailedEvents.Arn>", "$.detail")]) if s.results else (None, None, None, [])
    yield from compare("FailedResultsRule", got, want)
    p = s.properties("WindowPipe")
    if not (s.results and s.windows):
        yield from compare("WindowPipe", p, {})
        return
    yield from compare("WindowPipe goes", (p["Name"], p["Source"], p["Target"], p["RoleArn"]), (f"segura-enable-window-{STACK_ID}", "<WindowsTable.StreamArn>", s.results, "<WindowPipeRole.Arn>"))
    stream, paths = p["SourceParameters"]["DynamoDBStreamParameters"], facts.CODE["windows"]["event"]
    yield from compare("what WindowPipe cannot deliver goes", stream.get("DeadLetterConfig"), {"Arn": "<UndeliveredEvents.Arn>"})
    told = {"exists": True}
    for part in reversed(f"dynamodb.NewImage.{paths['state']}".split(".")):
        told = {part: [told] if "exists" in told else told}
    filters = [json.loads(one["Pattern"]) for one in p["SourceParameters"].get("FilterCriteria", {}).get("Filters", [])]
    yield from compare("what WindowPipe lets through", filters, [told])
    template = json.loads(re.sub(r"<(\$[\w.]+)>", r'"\1"', p["TargetParameters"]["InputTemplate"]))
    yield from compare("what WindowPipe tells", template, {name: f"$.dynamodb.NewImage.{path}" for name, path in paths.items()})
    yield from compare("whose WindowPipe's events are", p["TargetParameters"]["EventBridgeEventBusParameters"],
                       {"Source": facts.CODE["own_source"], "DetailType": "Segura Window State Change"})


def check_audit(s):
    """Every function's audit lines, and nothing else, get into a bucket that keeps them for their time."""
    got = {(p["LogGroupName"], p["FilterPattern"], p["DestinationArn"], p["RoleArn"])
           for p in (one["Properties"] for one in s.of_type("AWS::Logs::SubscriptionFilter").values())}
    want = {(f"<{name}Logs>", '{ $.message = "audit" }', "<AuditStream.Arn>", "<AuditSubscriptionRole.Arn>") for name in s.functions if s.audit}
    yield from compare("logs whose audit lines are kept", got, want)
    if not s.audit:
        yield from compare("AuditBucket", s.properties("AuditBucket"), {})
        return
    p = s.properties("AuditBucket")
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": s.p["AuditBucketLock"], "Days": s.p["AuditBucketDays"]}}}
    yield from compare("AuditBucket's lock", (p.get("ObjectLockEnabled"), p.get("ObjectLockConfiguration")), (True, lock))
    yield from compare("AuditBucket's rules", [one.get("ExpirationInDays") for one in p["LifecycleConfiguration"]["Rules"]], [s.p["AuditBucketDays"]])
    yield from compare("AuditStream's name", s.properties("AuditStream").get("DeliveryStreamName"), f"segura-enable-audit-{STACK_ID}")
    p = s.properties("AuditStream")["ExtendedS3DestinationConfiguration"]
    yield from compare("AuditStream goes", (p["BucketARN"], p["RoleARN"]), ("<AuditBucket.Arn>", "<AuditStreamRole.Arn>"))
    processors = [(one["Type"], [parameter["ParameterValue"] for parameter in one.get("Parameters", [])]) for one in p.get("ProcessingConfiguration", {}).get("Processors", [])]
    yield from compare("what AuditStream makes of a record", processors, [("Decompression", ["GZIP"]), ("CloudWatchLogProcessing", ["true"]), ("AppendDelimiterToRecord", [])])


def check_queries(s):
    """The saved queries look at every function's log, for what an audit line has."""
    for name, one in s.of_type("AWS::Logs::QueryDefinition").items():
        p = one["Properties"]
        yield from compare(f"{name} logs", set(p["LogGroupNames"]), {f"<{function}Logs>" for function in s.functions})
        own, text = set(re.findall(r" as (\w+)", p["QueryString"])), re.sub(r"'[^']*'", "", p["QueryString"])
        words = set(re.findall(r"[@\w]+", text)) - own
        language = {"filter", "fields", "stats", "sort", "limit", "latest", "count", "by", "as", "and", "in", "desc"}
        unknown = {word for word in words if not word.isdigit()} - language - set(facts.CODE["audit_keys"]) - {"@timestamp"}
        yield from compare(f"{name}: what no audit line has", unknown, set())


def check_schedule(s):
    """Its input is an event that the code takes for a schedule's, for the function that its detail is for."""
    if not s.schedule:
        return
    p, text = s.p, s.properties("Schedule")["Target"]["Input"]
    try:
        event = json.loads(text)
    except ValueError as fault:
        yield f"Schedule input is not JSON: {fault}: {text}"
        return
    detail = {"identifiers": [int(one) for one in p["ScheduleIdentifiers"].split(",")]} if p["ScheduleIdentifiers"] else {}
    detail |= {"reason": p["ScheduleReason"]} if p["ScheduleReason"] else {}
    if p["ScheduleFor"]:  # a late delivery ends in time, and a second one opens none
        detail = {"window": detail | {"from": "<aws.scheduler.scheduled-time>", "for": p["ScheduleFor"]}, "idempotency_key": "<aws.scheduler.execution-id>"}
    yield from compare("Schedule target", s.properties("Schedule")["Target"]["Arn"], "<WindowFunction.Arn>" if p["ScheduleFor"] else "<EventFunction.Arn>")
    yield from compare("Schedule input's detail", event.get("detail"), detail)
    if event.get("source") not in facts.CODE["scheduled_sources"]:
        yield f"Schedule input: internal/event knows no scheduled source {event.get('source')}"


def check_machines(s):
    """What the definitions leave open is filled in, what they catch is what the code
    returns, and they wait for as long as a call may be under way."""
    for name, one in s.of_type("AWS::StepFunctions::StateMachine").items():
        file = file_of(one)
        yield from compare(f"{name}: what its definition leaves open", set(one["Properties"]["DefinitionSubstitutions"]), facts.placeholders(file))
        # Another name counts towards a resource policy that the whole account shares.
        log = one["Properties"]["LoggingConfiguration"]["Destinations"][0]["CloudWatchLogsLogGroup"]["LogGroupArn"].strip("<>").removesuffix(".Arn")
        yield from compare(f"{name}: name of its log", str(s.properties(log).get("LogGroupName")).startswith("/aws/vendedlogs/states/"), True)
        own, caught = (set(below(facts.machine(file), key)) for key in ("Error", "ErrorEquals"))
        unknown = {error for error in caught if error.startswith("Segura.")} - own - set(facts.CODE["error_types"])
        yield from compare(f"{name}: errors that nobody returns", unknown, set())
    longest = FUNCTION_TIMEOUTS["EventFunction"] + 5
    if s.bulk:
        batch = facts.machine("bulk")["States"]["EachBatchOfCsv"]["ItemProcessor"]["States"]
        for name in ("SendCsv", "SendAgainCsv"):
            yield from compare(f"time-out of {name}", batch[name]["TimeoutSeconds"], longest)


def below(document, key):
    """The texts under a key, wherever it is."""
    for name, one in document.items() if isinstance(document, dict) else enumerate(document):
        if name == key:
            yield from [one] if isinstance(one, str) else one
        elif isinstance(one, (dict, list)):
            yield from below(one, key)


def check_windows(s):
    """The table is what internal/windowtable writes; windows are looked after each minute; and nothing goes while any is open."""
    encryption = {"SSEEnabled": True, "SSEType": "KMS"} | ({"KMSMasterKeyId": s.key} if s.key else {})
    yield from compare("WindowsTable", s.properties("WindowsTable"), {
        "BillingMode": "PAY_PER_REQUEST", "SSESpecification": encryption, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True}, "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]})
    p = s.properties("ReconcileSchedule")
    got = (p.get("ScheduleExpression"), p.get("State"), p.get("FlexibleTimeWindow"), p.get("Target", {}).get("Arn"), p.get("Target", {}).get("Input"))
    yield from compare("ReconcileSchedule", got, ("rate(1 minute)", "ENABLED", {"Mode": "OFF"}, "<WindowFunction.Arn>", '{"reconcile": true}') if s.windows else (None,) * 5)
    for name in s.window_functions:  # whoever invokes one by hand where there are no windows opens none, which nobody would close
        longest = s.properties(name)["Environment"]["Variables"].get("SEGURA_WINDOW_MAX_DURATION")
        yield from compare(f"longest window of {name}", longest, s.p["WindowMaxDuration"] if s.windows else "0s")
    yield from compare("WindowApiFunction is shut off", s.properties("WindowApiFunction").get("ReservedConcurrentExecutions"), None if s.windows else 0)
    for name in ("WindowsSwitch", "LastWindows"):
        yield from compare(f"{name} calls", s.properties(name).get("ServiceToken"), "<WindowFunction.Arn>")
        yield from compare(f"{name} waits", s.properties(name).get("ServiceTimeout", 0) > FUNCTION_TIMEOUTS["WindowFunction"], True)
    yield from compare("WindowsSwitch's property", s.properties("WindowsSwitch").get("WindowsEnabled"), s.p["WindowsEnabled"])
    order = [["WindowsSwitch"], ["Schedule"] * s.schedule + ["ApiprodStage"] * s.api, ["LastWindows"], ["ReconcileSchedule"] * s.windows + ["WindowFunctionInvocations"], ["WindowFunction"],
             ["WindowsTable", "WindowFunctionRole", "WindowFunctionLogs"] + ["Secret"] * s.creates_secret]
    order = [one for one in order if one]
    for before, after in zip(order, order[1:]):
        for first in before:
            yield from compare(f"what {first} is deleted before", set(after) - below_in_order(s, first), set())


def below_in_order(s, name):
    """The resources that are still there while one is deleted."""
    found, left = set(), [name]
    while left:
        left = [one for one in stacks.references(s.template["Resources"][left.pop()]) if one in s.template["Resources"] and one not in found] + left
        found.update(left)
    return found


# --- On demand -------------------------------------------------------------------

def check_api(s):
    """Nobody comes in unsigned, and the access log says who came."""
    if s.url:
        yield from compare("ApiFunctionUrl", s.properties("ApiFunctionUrl"), {"TargetFunctionArn": "<ApiFunction.Arn>", "AuthType": "AWS_IAM"})
    if not s.api:
        return
    p, private = s.p, s.p["ApiVpcEndpointIds"]
    yield from compare("Api endpoints", s.properties("Api")["EndpointConfiguration"],
                       {"Types": ["PRIVATE"], "VpcEndpointIds": private.split(",")} if private else {"Types": ["REGIONAL"]})
    stage = s.properties("ApiprodStage")
    for one in stage["MethodSettings"]:
        yield from compare("limits of a method", (one.get("ThrottlingRateLimit"), one.get("ThrottlingBurstLimit"), one.get("DataTraceEnabled")),
                           (p["ApiThrottleRate"], p["ApiThrottleBurst"], False))
    if p["ApiAccessLog"] == "true":
        line = json.loads(stage.get("AccessLogSetting", {}).get("Format", "{}"))
        yield from compare("access log's caller", line.get("caller"), "$context.identity.userArn")
        yield from compare("access log's fields that are no variable", {key for key, one in line.items() if not one.startswith("$context.")}, set())
    yield from compare("web ACL", s.properties("ApiWebAcl").get("WebACLArn", ""), p["ApiWebAclArn"])
    body = s.properties("Api").get("Body", {})
    # AWS gives a private API TLS_1_2 by itself; it is called by the names of VPC endpoints, which STRICT does not take.
    yield from compare("TLS", (s.properties("Api").get("SecurityPolicy"), s.properties("Api").get("EndpointAccessMode")),
                       (None, None) if private else ("SecurityPolicy_TLS13_1_2_2021_06", "STRICT"))
    yield from check_methods(s, body)
    yield from check_reach(s, body)
    yield from compare("resource policy", body.get("x-amazon-apigateway-policy"), policies.resource_policy(p))


def check_reach(s, body):
    """The ARNs of the outputs cover every path that they are for and no other, and each function may be invoked by its own."""
    outputs = {name: s.symbols["Outputs"].get(name, {}).get("Value", "") for name in ("ApiInvokeArn", "WindowsInvokeArn")}
    permissions = {p["FunctionName"] + p["SourceArn"].rsplit("/prod/", 1)[-1].partition("/")[2]: p["SourceArn"] for p in properties_of(s, "AWS::Lambda::Permission") if p["Principal"] == "apigateway.amazonaws.com"}
    for path, item in body.get("paths", {}).items():
        window = path in facts.CODE["windows"]["routes"]
        for method, operation in item.items():
            arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:<Api>/prod/{method.upper()}{re.sub('{.*?}', '5', path)}"
            function = re.search("functions/(<.*>)/", operation.get("x-amazon-apigateway-integration", {}).get("uri", "functions/<>/")).group(1).replace(".Arn", "")
            may = any(name.startswith(function) and fnmatch.fnmatchcase(arn, one) for name, one in permissions.items())
            got = fnmatch.fnmatchcase(arn, outputs["ApiInvokeArn"]), fnmatch.fnmatchcase(arn, outputs["WindowsInvokeArn"]), may
            yield from compare(f"{method} {path}: ApiInvokeArn covers it, WindowsInvokeArn does, the API may invoke", got, (True, window and s.windows, True))


def check_methods(s, body):
    """Every method is signed with IAM, and goes to the function that it is for. Where there are no windows, ApiFunction says that nothing is there."""
    yield from compare("security schemes", {
        name: (one.get("type"), one.get("in"), one.get("name"), one.get("x-amazon-apigateway-authtype"))
        for name, one in body.get("components", {}).get("securitySchemes", {}).items()}, {"sigv4": ("apiKey", "header", "Authorization", "awsSigv4")})
    validators = body.get("x-amazon-apigateway-request-validators", {})
    for path, item in body.get("paths", {}).items():
        window = path in facts.CODE["windows"]["routes"]
        yield from compare(f"{path} methods", set(item), set(facts.CODE["windows"]["routes"].get(path, ["post"])))
        for method, operation in item.items():
            where = f"{method} {path}"
            yield from compare(f"{where} security", operation.get("security"), [{"sigv4": []}])
            yield from compare(f"{where} auth of its own", operation.get("x-amazon-apigateway-auth"), None)
            integration = operation.get("x-amazon-apigateway-integration", {})
            function = "WindowApiFunction" if window and s.windows else "ApiFunction"
            yield from compare(f"{where} integration", integration, {
                "type": "aws_proxy", "httpMethod": "POST", "passthroughBehavior": "when_no_match", "timeoutInMillis": 29000,
                "uri": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/<{function}.Arn>/invocations"})
            validator = validators.get(operation.get("x-amazon-apigateway-request-validator"), {})
            yield from compare(f"{where} validates", (validator.get("validateRequestBody"), validator.get("validateRequestParameters")),
                               (operation.get("requestBody", {}).get("required", False), True))


# --- Alarms and dashboard --------------------------------------------------------

def watched(alarm):
    """The metrics that an alarm watches: namespace, name and dimensions."""
    for one in [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one] if "Metrics" in alarm else [alarm]:
        yield one["Namespace"], one["MetricName"], {d["Name"]: d["Value"] for d in one.get("Dimensions", [])}


def check_metric_names(s):
    """Names and dimensions are those that the code emits, and no failure is left unwatched."""
    emitted = facts.CODE["metrics"] | facts.CODE["windows"]["metrics"] | dict.fromkeys(facts.bulk_metrics(), ["Function"])
    codes, whole = {}, set()
    for name, alarm in s.of_type("AWS::CloudWatch::Alarm").items():
        for namespace, measure, dimensions in watched(alarm["Properties"]):
            if namespace.startswith("AWS/"):
                continue
            if namespace != facts.CODE["namespace"] or set(dimensions) not in [set(one.split(",")) for one in emitted.get(measure, [])]:
                yield f"{name} watches {namespace} {measure} {sorted(dimensions)}, which the code does not emit"
            if measure in facts.CODE["windows"]["metrics"]:
                yield from compare(f"{name} watches", dimensions, {"Function": "<WindowFunction>"})
            if "Code" in dimensions:
                codes.setdefault(dimensions.get("Function"), []).append(dimensions["Code"])
            elif measure == "Failed":
                whole.add(dimensions["Function"])
    for function in s.door_functions:
        yield from compare(f"codes watched of {function}", sorted(codes.get(f"<{function}>", [])), sorted(facts.CODE["codes"]))
    yield from compare("functions of which all failures are watched as one", whole, {f"<{one}>" for one in s.window_functions if s.windows})


def check_alarms(s):
    """Each tells somebody, by a name that the topic takes, and asks no more than CloudWatch gives."""
    for name, one in s.of_type("AWS::CloudWatch::Alarm").items():
        p = one["Properties"]
        for actions in ("AlarmActions", "OKActions"):
            yield from compare(f"{name} {actions}", p.get(actions), [s.p["AlarmTopicArn"] or "<AlarmTopic>"])
        if not str(p.get("AlarmName", "")).startswith(f"{NAME}-") or not p.get("AlarmDescription"):
            yield f"{name}: its name does not begin with the stack's, which the topic's policy asks for, or it has no description"
        stats = [query["MetricStat"] for query in p.get("Metrics", []) if "MetricStat" in query]
        if len(stats) > 10:
            yield f"{name} watches {len(stats)} metrics, 10 are allowed"
        period = stats[0]["Period"] if stats else p["Period"]
        if period * p["EvaluationPeriods"] > (604800 if period >= 3600 else 86400):
            yield f"{name} looks back further than CloudWatch does"


def check_lookback(s):
    """Lambda dates Errors and Duration back to when the invocation began: an alarm looks back as far as a whole one, and two periods."""
    for name, one in s.of_type("AWS::CloudWatch::Alarm").items():
        p, timeouts = one["Properties"], [0]
        for namespace, measure, dimensions in watched(p):
            if namespace == "AWS/Lambda" and measure in ("Errors", "Duration"):
                timeouts.append(FUNCTION_TIMEOUTS[dimensions["FunctionName"].strip("<>")])
        period = p.get("Period", 300)
        if max(timeouts) > period:
            yield from compare(f"{name} looks back, and is satisfied with", (p["EvaluationPeriods"], p.get("DatapointsToAlarm")), (max(timeouts) // period + 2, 1))


def check_losses(s):
    """Lost is what lies in no queue: it could not be put there. What lies in one has that queue's alarm."""
    want = {("AWS/Lambda", "DestinationDeliveryFailures", "FunctionName", p["FunctionName"]) for p in properties_of(s, "AWS::Lambda::EventInvokeConfig") if s.windows or p["FunctionName"] != "<WindowFunction>"}
    want |= {("AWS/Scheduler", "InvocationsFailedToBeSentToDeadLetterCount", "ScheduleGroup", p["GroupName"]) for p in properties_of(s, "AWS::Scheduler::Schedule")}
    if s.rule:
        rule = s.properties("Rule")
        want.add(("AWS/Events", "InvocationsFailedToBeSentToDlq", "RuleName", rule["Name"]) + (("EventBusName", rule["EventBusName"]) if rule["EventBusName"] != "default" else ()))
    got = {(namespace, measure, *[text for pair in dimensions.items() for text in pair]) for namespace, measure, dimensions in watched(s.properties("DeliveryAlarm"))}
    yield from compare("DeliveryAlarm watches", got, want)


def check_silence(s):
    """A schedule that does not fire raises an alarm, whatever else goes on, and so does one that enables nothing."""
    if not s.schedule or s.p["ScheduleState"] != "ENABLED" or not s.p["NoSuccessHours"]:
        return
    schedules = {name for name, one in s.of_type("AWS::Scheduler::Schedule").items() if one["Properties"]["GroupName"] == "<ScheduleGroup>"}
    yield from compare("schedules whose attempts are counted together", schedules, {"Schedule"})
    target = s.properties("Schedule")["Target"]["Arn"].replace(".Arn", "")
    for name, want in (("ScheduleAlarm", [("AWS/Scheduler", "InvocationAttemptCount", {"ScheduleGroup": "<ScheduleGroup>"})]),
                       ("NoSuccessAlarm", [("Segura", one, {"Function": target}) for one in ("Enabled", "AlreadyEnabled")])):
        p = s.properties(name)
        yield from compare(f"{name} watches", list(watched(p)) if p else [], want)
        yield from compare(f"{name} waits for", [p.get(key) for key in ("EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Threshold", "TreatMissingData")],
                           [s.p["NoSuccessHours"]] * 2 + ["LessThanThreshold", 1, "breaching"])
        periods = {one["Period"] for one in p.get("Metrics", []) + [p] for one in [one.get("MetricStat", one)] if "Period" in one}
        yield from compare(f"{name}'s periods", periods, {3600})


def properties_of(s, kind):
    return [one["Properties"] for one in s.of_type(kind).values()]


def check_dashboard(s):
    """It shows every metric that the code emits, and no other; all alarms; and what an audit line has."""
    if s.p["DashboardEnabled"] != "true":
        return
    try:
        widgets = [one["properties"] for one in json.loads(s.properties("Dashboard")["DashboardBody"])["widgets"]]
    except (ValueError, KeyError) as fault:
        yield f"Dashboard is not JSON: {fault}"
        return
    lines = [line for one in widgets for line in one.get("metrics", []) if isinstance(line[0], str) and not line[0].startswith("AWS/")]
    want = {(name, f"<{function}>") for name in facts.CODE["metrics"] for function in s.door_functions}
    want |= {(name, "<EventFunction>") for name in facts.bulk_metrics() if s.bulk}
    if s.windows:
        want |= {(name, "<WindowFunction>") for name in facts.CODE["windows"]["metrics"]}
        want |= {(name, f"<{function}>") for name in ("Enabled", "AlreadyEnabled", "Disabled", "AlreadyDisabled", "Failed") for function in s.window_functions}
    yield from compare("Dashboard's metrics", {tuple(line[:4]) for line in lines}, {(facts.CODE["namespace"], name, "Function", function) for name, function in want})
    listed = [alarm for one in widgets for alarm in one.get("alarms", [])]
    yield from compare("Dashboard's alarms", sorted(listed), sorted(f"<{name}.Arn>" for name in s.of_type("AWS::CloudWatch::Alarm")))
    for query in (one["query"] for one in widgets if "query" in one):
        fields = set(re.search(r" \| fields (.*?) \| ", query).group(1).split(", "))
        yield from compare("Dashboard's fields that no audit line has", fields - set(facts.CODE["audit_keys"]) - {"@timestamp", "@message"}, set())


OTHERS = ("check_document", "check_samples", "check_methods", "check_reach")
EACH = [one for name, one in [*vars(policies).items(), *globals().items()] if name.startswith("check_") and name not in OTHERS]
ONCE = [one for name, one in vars(sources).items() if name.startswith("source_")]


@functools.lru_cache(2)
def document_faults(text):
    document = json.loads(stacks.as_json(text))
    return [f"openapi.yaml: {fault}" for one in (check_document, check_samples) for fault in one(document)]


def file_of(machine):
    """The name of the definition of a translated machine."""
    return machine["Properties"]["DefinitionS3Location"]["Key"].removeprefix("statemachines/").removesuffix(".asl.json")


def check(texts, root=stacks.ROOT):
    """All that is wrong with the template, one line each; what differs from the golden
    copies comes last. What cannot even be read is a fault like any other."""
    try:
        source = stacks.parse(texts)
        for one in ONCE:
            yield from (f"{one.__name__}: {fault}" for fault in one(source, Path(root)))
        yield from document_faults(texts["openapi.yaml"])
    except Exception as fault:
        yield f"cannot be read: {type(fault).__name__}: {fault}"
    resolved = []
    for name, parameters in sets.SETS.items():
        try:
            s = Stack(texts, name, parameters)
            for one in EACH:
                yield from (f"{name}: {one.__name__}: {fault}" for fault in one(s))
            resolved.append(s)
        except Exception as fault:
            yield f"{name}: cannot be resolved: {type(fault).__name__}: {fault}"
    for s in resolved:
        yield from golden.differences(s.name, s.p, s.symbols)
    yield from golden.stale()

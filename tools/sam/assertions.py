"""What has to be true of every stack that the template makes: nobody gets in who
should not, nothing is lost in silence, and all of it agrees with the code.

Each check gets one resolved stack and yields what is wrong with it. Who may do what
is in policies.py, and how all the rest looks in the golden copies.
"""

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
from openapi import WINDOWS, check_document, check_samples
from stack import ACCOUNT, NAME, REGION, Stack, compare

PROCESS_VARIABLES = {"AWS_ENDPOINT_URL_SECRETS_MANAGER", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR"}
FUNCTION_TIMEOUTS = {"ApiFunction": 25, "EventFunction": 900}


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
        keeps = one["Type"] in ("AWS::Logs::LogGroup", "AWS::SecretsManager::Secret", "AWS::S3::Bucket")
        yield from compare(f"{name} DeletionPolicy", one.get("DeletionPolicy", "none"), "RetainExceptOnCreate" if keeps else "none")
        yield from compare(f"{name} UpdateReplacePolicy", one.get("UpdateReplacePolicy", "none"), "Retain" if keeps else "none")


# --- Functions -------------------------------------------------------------------

def check_functions(s):
    """Each gets every variable that the code reads, and the time that others count on."""
    for name in s.functions:
        variables = set(s.properties(name)["Environment"]["Variables"])
        yield from compare(f"{name} variables", variables - PROCESS_VARIABLES, set(facts.CODE["variables"]))
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
    yield from compare("failed events go to", s.properties("EventFunctionInvocations").get("DestinationConfig"),
                       {"OnFailure": {"Destination": "<FailedEvents.Arn>"}})
    targets = [s.properties("Schedule")["Target"]] if s.schedule else []
    for target in targets + [target for one in s.of_type("AWS::Events::Rule").values() for target in one["Properties"]["Targets"]]:
        yield from compare(f"undelivered events for {target['Arn']} go to", target.get("DeadLetterConfig"), {"Arn": "<UndeliveredEvents.Arn>"})


def check_schedule(s):
    """Its input is an event that the code takes for a schedule's, or the input of a window."""
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
    if p["ScheduleFor"]:
        yield from compare("Schedule input", event, detail | {"for": p["ScheduleFor"], "caller": "<aws.scheduler.schedule-arn>"})
        return
    yield from compare("Schedule input's detail", event.get("detail"), detail)
    if event.get("source") not in facts.CODE["scheduled_sources"]:
        yield f"Schedule input: internal/event knows no scheduled source {event.get('source')}"


def check_machines(s):
    """What the definitions leave open is filled in, what they catch is what the code
    returns, and they wait for as long as a call may be under way."""
    for name, one in s.of_type("AWS::StepFunctions::StateMachine").items():
        file = one["Properties"]["DefinitionS3Location"]["Key"].removeprefix("statemachines/").removesuffix(".asl.json")
        yield from compare(f"{name}: what its definition leaves open", set(one["Properties"]["DefinitionSubstitutions"]), facts.placeholders(file))
        own, caught = (set(below(facts.machine(file), key)) for key in ("Error", "ErrorEquals"))
        unknown = {error for error in caught if error.startswith("Segura.")} - own - set(facts.CODE["error_types"])
        yield from compare(f"{name}: errors that nobody returns", unknown, set())
    longest = FUNCTION_TIMEOUTS["EventFunction"] + 5
    if s.windows:
        states = facts.machine("window")["States"]
        yield from compare("time-out of Disable", states["Disable"]["TimeoutSeconds"], longest)
        yield from compare("time-out of Enable", f"$min([{longest}," in states["Enable"]["TimeoutSeconds"], True)
        yield from compare("a failed enabling settles after", states["Enable"]["Catch"][0]["Assign"]["settles"], f"{{% $millis() + {longest}000 %}}")
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
    yield from check_methods(body)
    yield from window_method_faults(s, body)
    yield from compare("resource policy", body.get("x-amazon-apigateway-policy"), policies.resource_policy(p))


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


# --- Alarms and dashboard --------------------------------------------------------

def watched(alarm):
    """The metrics that an alarm watches: namespace, name and dimensions."""
    for one in [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one] if "Metrics" in alarm else [alarm]:
        yield one["Namespace"], one["MetricName"], {d["Name"]: d["Value"] for d in one.get("Dimensions", [])}


def check_metric_names(s):
    """Names and dimensions are those that the code emits, and no code is left unwatched."""
    emitted = facts.CODE["metrics"] | dict.fromkeys(facts.machine_metrics("window") | facts.machine_metrics("bulk"), ["Function"])
    codes = {}
    for name, alarm in s.of_type("AWS::CloudWatch::Alarm").items():
        for namespace, measure, dimensions in watched(alarm["Properties"]):
            if namespace.startswith("AWS/"):
                continue
            if namespace != facts.CODE["namespace"] or set(dimensions) not in [set(one.split(",")) for one in emitted.get(measure, [])]:
                yield f"{name} watches {namespace} {measure} {sorted(dimensions)}, which the code does not emit"
            if "Code" in dimensions:
                codes.setdefault(dimensions.get("Function"), []).append(dimensions["Code"])
    for function in s.functions:
        yield from compare(f"codes watched of {function}", sorted(codes.get(f"<{function}>", [])), sorted(facts.CODE["codes"]))


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
    want = {(name, f"<{function}>") for name in facts.CODE["metrics"] for function in s.functions}
    want |= {(name, "<EventFunction>") for name in facts.machine_metrics("window") if s.windows}
    want |= {(name, "<EventFunction>") for name in facts.machine_metrics("bulk") if s.bulk}
    yield from compare("Dashboard's metrics", {tuple(line[:4]) for line in lines}, {(facts.CODE["namespace"], name, "Function", function) for name, function in want})
    listed = [alarm for one in widgets for alarm in one.get("alarms", [])]
    yield from compare("Dashboard's alarms", sorted(listed), sorted(f"<{name}.Arn>" for name in s.of_type("AWS::CloudWatch::Alarm")))
    for query in (one["query"] for one in widgets if "query" in one):
        fields = set(re.search(r" \| fields (.*?) \| ", query).group(1).split(", "))
        yield from compare("Dashboard's fields that no audit line has", fields - set(facts.CODE["audit_keys"]) - {"@timestamp", "@message"}, set())


OTHERS = ("check_document", "check_samples", "check_methods")
EACH = [one for name, one in [*vars(policies).items(), *globals().items()] if name.startswith("check_") and name not in OTHERS]
ONCE = [one for name, one in vars(sources).items() if name.startswith("source_")]


@functools.lru_cache(2)
def document_faults(text):
    document = json.loads(stacks.as_json(text))
    return [f"openapi.yaml: {fault}" for one in (check_document, check_samples) for fault in one(document)]


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

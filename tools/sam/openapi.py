"""openapi.yaml against the Go code: paths, statuses, codes, limits, examples, samples."""

import base64
import json
import re

import facts
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator
from stack import compare

GATEWAY_CODES = {"caller_denied": False, "throttled": True, "gateway_error": True}
# The status of what API Gateway answers itself; None keeps its own.
GATEWAY_RESPONSES = {
    "ACCESS_DENIED": (403, "caller_denied"), "INVALID_SIGNATURE": (403, "caller_denied"), "EXPIRED_TOKEN": (403, "caller_denied"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "caller_denied"), "UNAUTHORIZED": (401, "caller_denied"), "WAF_FILTERED": (403, "caller_denied"),
    "BAD_REQUEST_BODY": (400, "invalid_request"), "BAD_REQUEST_PARAMETERS": (400, "invalid_request"),
    "RESOURCE_NOT_FOUND": (404, "invalid_request"), "REQUEST_TOO_LARGE": (413, "invalid_request"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "invalid_request"), "THROTTLED": (429, "throttled"), "QUOTA_EXCEEDED": (429, "throttled"),
    "API_CONFIGURATION_ERROR": (502, "gateway_error"), "INTEGRATION_FAILURE": (502, "gateway_error"),
    "INTEGRATION_TIMEOUT": (504, "deadline_exceeded"), "DEFAULT_4XX": (None, "invalid_request"), "DEFAULT_5XX": (None, "gateway_error"),
}
JSON, PROBLEM = "application/json", "application/problem+json"


class Schemas:
    def __init__(self, document):
        self.document = document

    def faults(self, schema, value):
        # The references lead into this document, so it goes along with each schema.
        rooted = {"components": self.document["components"], "allOf": [schema]}
        return [error.message for error in OAS30Validator(rooted).iter_errors(value)]


# What each operation of windows takes and answers with, beside what all of them have.
WINDOWS = {
    "post /windows": ("WindowRequest", {200: "Window", 201: "Window"}, {409, 413, 415}),
    "get /windows": (None, {200: "WindowList"}, set()),
    "get /windows/{id}": (None, {200: "Window"}, set()),
    "post /windows/{id}/extend": ("ExtendRequest", {200: "Window"}, {409, 413, 415}),
    "post /windows/{id}/close": ("ReasonRequest", {200: "Window"}, {413, 415}),
}


def check_windows(document):
    """The paths for windows: methods, requests, answers, and how a window looks."""
    code = facts.CODE["windows"]
    operations = {f"{method} {path}": one for path, item in document["paths"].items() if path in code["routes"] for method, one in item.items()}
    yield from compare("operations of windows", set(operations), {f"{method} {path}" for path, methods in code["routes"].items() for method in methods})
    schemas = Schemas(document)
    seen = {}
    for where, operation in operations.items():
        request, successes, refusals = WINDOWS[where]
        yield from compare(f"{where} statuses", {int(one) for one in operation["responses"]}, set(successes) | refusals | {400, 403, 404, 405, 429, 500, 502, 503, 504})
        body = operation.get("requestBody", {"required": None, "content": {JSON: {"schema": None}}})
        yield from compare(f"{where} body", (body["required"], body["content"][JSON]["schema"]),
                           (request != "ReasonRequest", {"$ref": f"#/components/schemas/{request}"}) if request else (None, None))
        for example in body["content"][JSON].get("examples", {}).values():
            yield from (f"{where} request example: {fault}" for fault in schemas.faults(body["content"][JSON]["schema"], example["value"]))
        names = {(one["name"], one["in"], one["required"]) for one in operation.get("parameters", [])}
        want = {("id", "path", True)} if "{id}" in where else {(one, "query", False) for one in ("state", "identifier", "limit", "next")} if where.startswith("get") else set()
        yield from compare(f"{where} parameters", names, want | ({("Idempotency-Key", "header", False)} if 409 in refusals else set()))
        for status, response in operation["responses"].items():
            kind, name = (JSON, successes[int(status)]) if int(status) in successes else (PROBLEM, "Problem")
            yield from compare(f"{where} {status}", response["content"].get(kind, {}).get("schema"), {"$ref": f"#/components/schemas/{name}"})
            for example in response["content"].get(kind, {}).get("examples", {}).values():
                value = example["value"]
                yield from (f"{where} {status} example: {fault}" for fault in schemas.faults({"$ref": f"#/components/schemas/{name}"}, value))
                if kind == PROBLEM:
                    yield from check_problem(f"{where} {status} example", value, int(status))
                    seen[value["code"]] = (value["status"], value["title"])
    for name, answer in code["codes"].items():
        yield from compare(f"example of {name}", seen.get(name, "none"), (answer["status"], answer["title"]))
    yield from check_window_schemas(document["components"]["schemas"], schemas)


def check_window_schemas(named, schemas):
    code = facts.CODE["windows"]
    for name, members in (("Window", "members"), ("WindowIdentifier", "identifier_members"), ("WindowExtension", "extension_members"), ("WindowError", "error_members")):
        yield from compare(f"{name} members", set(named[name]["properties"]), set(code[members]))
    yield from compare("states of a window", set(named["Window"]["properties"]["state"]["enum"]), set(code["states"]))
    yield from compare("states of an identifier", set(named["WindowIdentifier"]["properties"]["state"]["enum"]), set(code["identifier_states"]))
    identifiers = named["WindowRequest"]["properties"]["identifiers"]
    yield from compare("identifiers of a window", (identifiers["minItems"], identifiers["maxItems"]), (1, facts.CODE["limits"]["identifiers"]))
    good = {"identifiers": [5, "6"], "for": "PT8H", "reason": "x"}
    for value, takes in ((good, True), ({"identifiers": [5], "until": "2026-12-01T18:00:00Z"}, True), (good | {"from": "2026-12-01T18:00:00+01:00"}, True),
                         (good | {"until": "2026-12-01T18:00:00Z"}, False), ({"identifiers": [5]}, False), (good | {"opened_by": "arn:aws:iam::1:role/other"}, False),
                         (good | {"for": "8h"}, False), (good | {"identifiers": []}, False), (good | {"identifiers": 5}, False), (good | {"identifiers": ["05"]}, False)):
        if bool(schemas.faults({"$ref": "#/components/schemas/WindowRequest"}, value)) == takes:
            yield f"WindowRequest {'refuses' if takes else 'takes'} {value}"
    for value, takes in (({"by": "PT2H"}, True), ({"until": "2026-12-01T18:00:00Z", "reason": "x"}, True), ({}, False), ({"by": "PT2H", "until": "2026-12-01T18:00:00Z"}, False)):
        if bool(schemas.faults({"$ref": "#/components/schemas/ExtendRequest"}, value)) == takes:
            yield f"ExtendRequest {'refuses' if takes else 'takes'} {value}"


def check_document(document):
    """The document holds what the code does, no more and no less."""
    yield from (f"not OpenAPI 3.0: {error.message}" for error in OpenAPIV30SpecValidator(document).iter_errors())
    if not re.fullmatch(r"3\.0\.\d", str(document.get("openapi"))):
        yield f"openapi is {document.get('openapi')}"
    yield from compare("paths", set(document["paths"]), set(facts.CODE["routes"]) | set(facts.CODE["windows"]["routes"]))
    yield from check_windows(document)
    yield from compare("version", document["info"]["version"], facts.released())
    yield from compare("servers", [(one["url"], one["variables"]["basePath"]["default"]) for one in document.get("servers", [])],
                       [("https://api-id.execute-api.eu-west-1.amazonaws.com/{basePath}", "prod")])
    yield from compare("security of the whole", document.get("security"), [{"sigv4": []}])
    if '"$ref": "#/components/responses' in json.dumps(document):
        yield "API Gateway resolves no references to shared responses"
    yield from check_schemas(document)
    seen = {}
    for path, item in document["paths"].items():
        for method, operation in item.items() if path not in facts.CODE["windows"]["routes"] else ():
            yield from check_operation(document, f"{method} {path}", operation, "{" in path, seen)
    for code, answer in facts.CODE["codes"].items():
        yield from compare(f"example of {code}", seen.get(code, "none"), (answer["status"], answer["title"]))
    for code in GATEWAY_CODES:
        if code not in seen:
            yield f"example of {code}: none"
    yield from check_gateway_responses(document)


def check_operation(document, where, operation, single, seen):
    statuses = {one["status"] for one in facts.CODE["codes"].values()} | set(facts.CODE["refusals"]) | {429, 200}
    if not single:
        statuses |= set(facts.CODE["successes"])
    responses = operation["responses"]
    yield from compare(f"{where} statuses", {int(status) for status in responses}, statuses)
    schemas = Schemas(document)
    identifier = {"type": "string", "pattern": document["components"]["schemas"]["Identifier"]["oneOf"][1]["pattern"]}
    yield from compare(f"{where} parameters", [(one["name"], one["in"], one.get("required"), one["schema"]) for one in operation.get("parameters", [])],
                       [("identifier", "path", True, identifier)] if single else [])
    body = operation["requestBody"]
    yield from compare(f"{where} requires a body", body.get("required"), not single)
    yield from compare(f"{where} takes", set(body["content"]), {JSON})
    want = "ReasonRequest" if single else "BatchRequest"
    yield from compare(f"{where} body", body["content"][JSON]["schema"], {"$ref": f"#/components/schemas/{want}"})
    for name, example in body["content"][JSON].get("examples", {}).items():
        yield from (f"{where} request example {name}: {fault}" for fault in schemas.faults(body["content"][JSON]["schema"], example["value"]))
    for status, response in responses.items():
        kind = JSON if int(status) < 300 else PROBLEM
        yield from compare(f"{where} {status} is", set(response.get("content", {})), {kind})
        content = response.get("content", {}).get(kind, {})
        want = {"207": "Result", "200": "Item" if single else "Outcome"}.get(status, "Problem")
        yield from compare(f"{where} {status} schema", content.get("schema"), {"$ref": f"#/components/schemas/{want}"})
        headers = {"405": {"Allow": "string"}} | dict.fromkeys(("429", "500", "502", "503", "504"), {"Retry-After": "integer"})
        yield from compare(f"{where} {status} headers", {name: header["schema"].get("type") for name, header in response.get("headers", {}).items()},
                           headers.get(status, {}))
        for name, example in content.get("examples", {}).items():
            value = example["value"]
            yield from (f"{where} {status} example {name}: {fault}" for fault in schemas.faults(content["schema"], value))
            if kind == PROBLEM:
                yield from check_problem(f"{where} {status} example {name}", value, int(status))
                seen[value["code"]] = (value["status"], value["title"])


def check_problem(where, value, status):
    """One problem: type, status and code agree, and it may be retried as the code says."""
    yield from compare(f"{where} status", value.get("status"), status)
    yield from compare(f"{where} type", value.get("type"), facts.CODE["problem"]["type_prefix"] + str(value.get("code")))
    codes = facts.CODE["codes"] | facts.CODE["windows"]["codes"]
    retryable = {"invalid_request": False} | GATEWAY_CODES | {code: one["retryable"] for code, one in codes.items()}
    if value.get("code") != "credentials_unavailable":  # which may be either
        yield from compare(f"{where} retryable", value.get("retryable"), retryable.get(value.get("code")))


def untyped(schema, where):
    """What a generator of clients could only guess."""
    if not {"$ref", "type", "oneOf"} & set(schema) and set(schema) != {"required"}:
        yield f"{where} has no type"
    if schema.get("type") == "array" and "items" not in schema:
        yield f"{where} has no items"
    if schema.get("type") == "object" and not {"properties", "additionalProperties"} & set(schema):
        yield f"{where} has no properties"
    for name, one in schema.get("properties", {}).items():
        yield from untyped(one, f"{where}.{name}")
    for one in ([schema["items"]] if "items" in schema else []) + schema.get("oneOf", []):
        yield from untyped(one, where)


def check_schemas(document):
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        yield from untyped(schema, name)
    for name, required in {"Item": {"identifier", "outcome", "attempts"}, "Result": {"outcome", "requested", "failed", "results"},
                           "Failure": {"code", "message", "retryable"}}.items():
        yield from compare(f"{name} requires", set(schemas[name].get("required", [])), required)
    yield from compare("Result.omitted requires", set(schemas["Result"]["properties"]["omitted"].get("required", [])), {"succeeded", "failed"})
    yield from compare("Result.failed_by_code", schemas["Result"]["properties"]["failed_by_code"].get("additionalProperties"), {"type": "integer"})
    for name in ("Item", "Problem"):
        yield from compare(f"{name}.identifier", schemas[name]["properties"]["identifier"].get("format"), "int64")
    for name in ("type", "instance"):
        yield from compare(f"Problem.{name}", schemas["Problem"]["properties"][name].get("format"), "uri")
    codes = set(facts.CODE["codes"])
    yield from compare("Failure codes", set(schemas["Failure"]["properties"]["code"]["enum"]), codes)
    yield from compare("Problem codes", set(schemas["Problem"]["properties"]["code"]["enum"]), codes | set(facts.CODE["windows"]["codes"]) | {"invalid_request"} | set(GATEWAY_CODES))
    yield from compare("Problem members", set(schemas["Problem"]["properties"]), set(facts.CODE["problem"]["members"]) | {"window"})
    yield from compare("Problem requires", set(schemas["Problem"]["required"]), set(facts.CODE["problem"]["required"]) - {"status"})  # which API Gateway does not always know
    yield from compare("Failure members", set(schemas["Failure"]["properties"]), set(facts.CODE["error_members"]))
    yield from compare("Item members", set(schemas["Item"]["properties"]), set(facts.CODE["item_members"]))
    yield from compare("Result members", set(schemas["Result"]["properties"]), set(facts.CODE["result_members"]))
    outcomes = set(schemas["Item"]["properties"]["outcome"]["enum"]) | set(schemas["Result"]["properties"]["outcome"]["enum"])
    yield from compare("outcomes", outcomes, set(facts.CODE["outcomes"]))
    limits = facts.CODE["limits"]
    batch = schemas["BatchRequest"]
    yield from compare("identifiers", (batch["properties"]["identifiers"]["minItems"], batch["properties"]["identifiers"]["maxItems"]), (1, limits["identifiers"]))
    yield from compare("reason", schemas["Reason"]["maxLength"], limits["reason"])
    for name in ("BatchRequest", "ReasonRequest"):
        yield from compare(f"{name} takes unknown fields", schemas[name].get("additionalProperties"), False)
    one = Schemas(document)
    ref = {"$ref": "#/components/schemas/BatchRequest"}
    for value, good in (({"identifier": 5}, True), ({"identifiers": ["5", 6], "reason": "x"}, True), ({}, False), ({"identifier": 5, "identifiers": [6]}, False),
                        ({"identifiers": []}, False), ({"identifiers": [0]}, False), ({"identifiers": ["05"]}, False), ({"identifier": 5, "action": "enable"}, False),
                        ({"identifier": 5.5}, False), ({"identifier": 5, "reason": 5}, False)):
        if bool(one.faults(ref, value)) == good:
            yield f"BatchRequest {'refuses' if good else 'takes'} {value}"


def check_gateway_responses(document):
    responses = document["x-amazon-apigateway-gateway-responses"]
    yield from compare("gateway responses", set(responses), set(GATEWAY_RESPONSES))
    for name, response in responses.items():
        status, code = GATEWAY_RESPONSES.get(name, (None, None))
        yield from compare(f"{name} status", response.get("statusCode"), str(status) if status else None)
        yield from compare(f"{name} templates", set(response["responseTemplates"]), {JSON})
        try:
            value = json.loads(response["responseTemplates"][JSON])
        except ValueError as fault:
            yield f"{name} is not JSON: {fault}"
            continue
        yield from (f"{name}: {fault}" for fault in Schemas(document).faults({"$ref": "#/components/schemas/Problem"}, value))
        yield from compare(f"{name} code", value.get("code"), code)
        yield from check_detail(document, name, str(value.get("detail")))
        yield from compare(f"{name} instance", value.get("instance"), "urn:uuid:$context.requestId")
        yield from check_problem(name, value, status)
        headers = response["responseParameters"]
        yield from compare(f"{name} Content-Type", headers.get("gatewayresponse.header.Content-Type"), f"'{PROBLEM}'")
        yield from compare(f"{name} Cache-Control", headers.get("gatewayresponse.header.Cache-Control"), "'no-store'")
        wait = "'1'" if code == "throttled" else "'5'"
        yield from compare(f"{name} Retry-After", headers.get("gatewayresponse.header.Retry-After"), wait if value.get("retryable") else None)


# Where the path is known, the sentence names it; where it may be a wrong one, it names those that there are.
OF_ITS_PATH = {"ACCESS_DENIED", "BAD_REQUEST_BODY", "BAD_REQUEST_PARAMETERS", "UNSUPPORTED_MEDIA_TYPE", "INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"}
OF_ALL_PATHS = {"MISSING_AUTHENTICATION_TOKEN", "RESOURCE_NOT_FOUND"}


def check_detail(document, name, detail):
    yield from compare(f"{name} speaks of its path", "$context.httpMethod $context.resourcePath" in detail, name in OF_ITS_PATH)
    named = set(re.findall(r"(?<!\w)/[a-z{}/-]+[a-z}]", detail))
    yield from compare(f"{name} names paths that there are not", named - set(document["paths"]), set())
    families = {path.split("/")[1] for path in document["paths"]}
    yield from compare(f"{name} names paths of", {path.split("/")[1] for path in named}, families if name in OF_ALL_PATHS else set())


def check_samples(document):
    """The samples in events/ that came over HTTP go to routes that there are, with bodies that they take."""
    patterns = {path: re.compile(".*" + re.sub(r"\{\w+\}", r"([^/]+)", path) + "$") for path in document["paths"]}
    reached = set()
    for name, event in facts.samples():
        method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
        path = event.get("path") or event["rawPath"]
        route = next((one for one, pattern in patterns.items() if pattern.fullmatch(path)), None)
        if route is None or method.lower() not in document["paths"][route]:
            yield f"events/{name}: no operation for {method} {path}"
            continue
        reached.add(route)
        body = event.get("body") or ""
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body).decode()
        if body:
            schema = document["paths"][route][method.lower()]["requestBody"]["content"][JSON]["schema"]
            yield from (f"events/{name}: {fault}" for fault in Schemas(document).faults(schema, json.loads(body)))
    if not any("{" in route for route in reached) or not any("{" not in route for route in reached):
        yield f"events/: the samples reach {sorted(reached)} only"

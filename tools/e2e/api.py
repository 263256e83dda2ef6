"""The REST API and the function URL, as callers have them."""

from botocore.credentials import Credentials
from table import require

# What the function refuses: request, status, code.
REFUSED = [
    (("POST", "/api-secrets/7/enable"), 404, "not_found"),
    (("POST", "/api-secrets/8/enable"), 403, "access_denied"),
    (("POST", "/api-secrets/1000/enable"), 403, "not_allowed"),
    (("POST", "/api-secrets/05/enable"), 400, "invalid_request"),
    (("POST", "/api-secrets/x/enable"), 400, "invalid_request"),
    (("POST", "/api-secrets/enable", "{"), 400, "invalid_request"),
    (("POST", "/api-secrets/enable", {"identifiers": []}), 400, "invalid_request"),
    (("POST", "/api-secrets/enable", {"identifiers": [5], "force": True}), 400, "invalid_request"),
    (("POST", "/api-secrets/enable", {"identifiers": list(range(1, 102))}), 400, "invalid_request"),
    (("POST", "/api-secrets/5/enable", '{"reason": "' + "x" * (64 << 10) + '"}'), 413, "invalid_request"),
    (("POST", "/api-secrets/5/enable", "hello", {"Content-Type": "text/plain"}), 415, "invalid_request"),
]


def drive(table, around, main):
    with table.step("REST API: one, again, and disabled") as row:
        got = [(status, answer["outcome"]) for status, answer in (main.api("POST", f"/api-secrets/50/{action}") for action in ("enable", "enable", "disable", "disable"))]
        require("replies", got, [(200, "enabled"), (200, "already_enabled"), (200, "disabled"), (200, "already_disabled")])
        row.ended = "200, four times"
    with table.step("REST API: several, all and some of them") as row:
        status, answer = main.api("POST", "/api-secrets/enable", {"identifiers": [51, "52"], "reason": "CHG1"})
        require("all", (status, answer["outcome"]), (200, "succeeded"))
        status, answer = main.api("POST", "/api-secrets/disable", {"identifiers": [51, 7]})
        require("some", (status, answer["outcome"], answer["results"][1]["error"]["code"]), (207, "partially_succeeded", "not_found"))
        row.ended = "200, 207"
    with table.step(f"REST API: {len(REFUSED)} kinds of refusal") as row:
        for (method, path, *rest), status, code in REFUSED:
            body, headers = (rest + [None, None])[:2]
            got, answer = main.api(method, path, body, headers=headers)
            require(f"{method} {path}", (got, answer["code"] if isinstance(answer, dict) else answer), (status, code))
        row.ended = ", ".join(sorted({str(status) for _, status, _ in REFUSED}))
    url = main.outputs()["ApiUrl"] + "/api-secrets/53/enable"
    callers(table, around, main, "REST API", url, "execute-api", "ApiFunction", 53)
    with table.step("REST API: the caller in the audit log") as row:
        row.ended = main.audit("ApiFunction", 50)[0]["caller"]
        require("caller", row.ended, "arn:aws:sts::123456789012:assumed-role/operations/alice")


def function_url(table, around, main):
    url = main.outputs()["FunctionUrl"] + "/api-secrets/54/enable"
    callers(table, around, main, "function URL", url, "lambda", "ApiFunction", 54)
    with table.step("function URL: signed") as row:
        row.ended, answer = around.request("POST", url, caller=around.operations, service="lambda")
        require("reply", (row.ended, answer), (200, {"identifier": 54, "outcome": "enabled", "attempts": 1}))


def callers(table, around, main, door, url, service, function, identifier):
    """Those who may not call, and that nothing came of it."""
    forged = Credentials(around.operations.access_key, "forged", around.operations.token)
    with table.step(door + ": unsigned, wrongly signed, not permitted") as row:
        got = [around.request("POST", url, caller=caller, service=service)[0] for caller in (None, forged, around.stranger)]
        require("replies", got, [403, 403, 403])
        require("audit lines of that", main.audit(function, identifier), [])
        row.ended = "403, three times; nothing enabled"

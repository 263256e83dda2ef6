"""What the Go code, the documentation and the samples say, to hold the template against.

Read by pattern, from the few lines that are tables. Where a pattern finds nothing
any more, that is an error here, not a check that passes.
"""

import functools
import http
import json
import re

from stack import ROOT

STATUS = {one.name.replace("_", "").lower(): one.value for one in http.HTTPStatus}
STATUS["requestentitytoolarge"] = 413  # Python's name differs
STATUS["unsupportedmediatype"] = 415
UNITS = {"Minute": "m", "Second": "s"}


@functools.cache
def text(path):
    return (ROOT / path).read_text("utf-8")


def find(pattern, path, least=1):
    found = re.findall(pattern, text(path), re.M)
    if len(found) < least:
        raise LookupError(f"{path}: {pattern} matches {len(found)} times, {least} or more expected")
    return found


def one(pattern, path):
    return find(pattern, path)[0]


def environment():
    """The variables that internal/config reads, with their defaults."""
    defaults = {}
    for kind, name, rest in find(r'r\.(\w+)\("(SEGURA_[A-Z_]+)"(?:, ([^)]+))?\)', "internal/config/config.go", 8):
        if kind == "duration":
            number, unit = re.fullmatch(r"(\d+)\*time\.(\w+)", rest).groups()
            rest = number + UNITS[unit]
        elif kind == "count":
            rest = rest.split(",")[0]
        defaults[name] = rest
    return defaults


def bounds():
    """The upper bounds of the counts."""
    path = "internal/config/config.go"
    return {
        "MaxConcurrency": int(one(r"maxConcurrency\s*= (\d+)", path)),
        "MaxAttempts": int(one(r"maxAttempts\s*= (\d+)", path)),
    }


def pages():
    """The README and the pages that it leads to."""
    found = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))
    if not found:
        raise LookupError("docs has no page")
    return ["README.md", *found]


def documented_environment():
    """The table of variables in docs/configuration.md: name and default."""
    return {name: default.strip("`") for name, default in find(r"^\| `(SEGURA_[A-Z_]+)` \|.*\| ([^|]+) \|$", "docs/configuration.md", 8)}


def documented_names():
    """What each page writes as parameters, resources, outputs and metrics are written."""
    names = r"`([A-Z][a-z]+[A-Z]\w+)[`:]|^([A-Z][a-z]+[A-Z]\w+):"
    return {page: {one or other for one, other in re.findall(names, text(page), re.M)} for page in pages()}


def codes():
    """Each code of a failure, and whether it is retryable as such."""
    path = "internal/apisecret/code.go"
    names = dict(find(r'^\t(\w+)\s+Code = "(\w+)"$', path, 13))
    retryable = re.search(r"var retryable = .*?^}", text(path), re.M | re.S).group(0)
    return {code: f"{name}:" in retryable.replace(" ", "") for name, code in names.items()}


def answers():
    """The status and the title of each code over HTTP."""
    names = dict(find(r'^\t(\w+)\s+Code = "(\w+)"$', "internal/apisecret/code.go", 13))
    table = find(r'apisecret\.(\w+):\s*\{http\.Status(\w+), "([^"]+)"\}', "internal/httpapi/problem.go", 13)
    return {names[name]: (STATUS[status.lower()], title) for name, status, title in table}


def request_statuses():
    """The statuses of a request that cannot be understood."""
    return {STATUS[name.lower()] for name in find(r"invalid\(http\.Status(\w+)", "internal/httpapi/request.go", 4)}


def success_statuses():
    return {STATUS[name.lower()] for name in find(r"http\.Status(OK|MultiStatus)", "internal/httpapi/door.go", 2)}


def problem_members():
    """The members of a problem, and those that are always there."""
    struct = re.search(r"type problem struct \{.*?\n\n", text("internal/httpapi/problem.go"), re.S).group(0)
    found = re.findall(r'json:"(\w+)(,omitempty)?"', struct)
    return {name for name, _ in found}, {name for name, optional in found if not optional}


def problem_type():
    return one(r'typePrefix = "([^"]+)"', "internal/httpapi/problem.go")


def item_members():
    found = re.search(r"type Item struct \{.*?\n\}", text("internal/apisecret/result.go"), re.S).group(0)
    return set(re.findall(r'json:"(\w+)', found))


def failure_members():
    found = re.search(r"type Error struct \{.*?\n\}", text("internal/apisecret/code.go"), re.S).group(0)
    return set(re.findall(r'json:"(\w+)', found))


def result_members():
    found = re.search(r"type document struct \{.*?\n\}", text("internal/apisecret/result.go"), re.S).group(0)
    return set(re.findall(r'json:"(\w+)', found))


def outcomes():
    return set(find(r'Outcome = "(\w+)"', "internal/apisecret/result.go", 7))


def limits():
    """How many identifiers and how long a reason an HTTP request may have."""
    return (int(one(r"MaxIdentifiers = (\d+)", "internal/httpapi/door.go")),
            int(one(r"MaxReason = (\d+)", "internal/apisecret/request.go")),
            eval_shift(one(r"maxBody = ([\d <]+)", "internal/httpapi/request.go")))


def eval_shift(expression):
    number, _, by = expression.partition("<<")
    return int(number) << int(by or 0)


def routes():
    """The paths that internal/httpapi serves, as OpenAPI writes them."""
    collection = one(r'collection = "([^"]+)"', "internal/httpapi/route.go")
    actions = find(r'Action = "(\w+)"', "internal/apisecret/request.go", 2)
    return {f"/{collection}{one}/{action}" for action in actions for one in ("", "/{identifier}")}


def metrics():
    """Namespace, and the metrics with their dimensions, that internal/telemetry emits."""
    path = "internal/telemetry/metrics.go"
    namespace = one(r'const Namespace = "(\w+)"', path)
    # Both forms that the table of metrics has had.
    names = set(find(r'\{(?:name: )?"(\w+)", (?:"(?:Count|Milliseconds)"|count:|values:)', path, 9))
    names |= set(re.findall(r'metric\{name: "(\w+)", values:', text(path)))
    dimensions = [tuple(re.findall(r'"(\w+)"', found)) for found in re.findall(r"\[\]string\{(\"[^}]+)\}\)$|dimensions :?= `([^`]+)`", text(path), re.M) for found in found if found]
    if sorted(dimensions) != [("Function",), ("Function", "Code")]:
        raise LookupError(f"{path}: the dimensions are {dimensions}")
    return namespace, names


def machine(name):
    """A definition of the folder statemachines, as it stands."""
    return json.loads(text(f"statemachines/{name}.asl.json"))


def placeholders(name):
    """What a definition leaves for the template to fill in."""
    return set(find(r"\$\{(\w+)\}", f"statemachines/{name}.asl.json"))


def machine_metrics():
    """The metrics that the state machines emit, with their dimension."""
    data = machine("window")["States"]["ReportOverdue"]["Arguments"]["MetricData"]
    return {one["MetricName"] for one in data if [d["Name"] for d in one["Dimensions"]] == ["Function"]}


def audit_keys():
    """The keys of an audit line, Lambda's own among them."""
    found = find(r'(?:slog\.\w+|\ttext|\tcount)\("(\w+)"', "internal/telemetry/telemetry.go", 15)
    return set(found) | {"@timestamp", "message"}


def versions():
    """Every place that has the version."""
    return {path: one(pattern, path) for path, pattern in {
        "functions/api/main.go": r'var version = "([^"]+)"',
        "functions/event/main.go": r'var version = "([^"]+)"',
        "CHANGELOG.md": r"^## \[(\d[^\]]*)\]",
    }.items()}


def samples():
    """The sample events that came over HTTP: name, method, path and body."""
    for path in sorted((ROOT / "events").glob("*.json")):
        event = json.loads(path.read_text("utf-8"))
        if "requestContext" in event:
            yield path.name, event


def event_sources():
    """The sources of a scheduled event, as internal/event knows them."""
    return set(re.findall(r'"(aws\.\w+)"', one(r"(func \(e envelope\) isScheduled.*)$", "internal/event/envelope.go")))

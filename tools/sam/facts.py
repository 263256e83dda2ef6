"""What the template and openapi.yaml have to agree with: the code, by facts.json,
which test/facts writes and tests, and the documents and samples as they stand.
"""

import functools
import json
import re

from stack import ROOT

CODE = json.loads((ROOT / "tools" / "sam" / "facts.json").read_text("utf-8"))


@functools.cache
def text(path):
    return (ROOT / path).read_text("utf-8")


def variables():
    """The variables of the environment that any function reads."""
    return CODE["variables"] | CODE["windows"]["variables"]


def pages():
    """The README and the pages that it leads to."""
    found = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))
    if not found:
        raise LookupError("docs has no page")
    return ["README.md", *found]


def documented_environment():
    """The table of variables in docs/configuration.md: name and default."""
    rows = re.findall(r"^\| `(SEGURA_[A-Z_]+)` \|.*\| ([^|]+) \|$", text("docs/configuration.md"), re.M)
    return {name: default.strip("`") for name, default in rows}


def documented_names():
    """What each page writes as parameters, resources, outputs and metrics are written, but for tests."""
    names = r"`(?!Test|Fuzz)([A-Z][a-z]+[A-Z]\w+)[`:]|^([A-Z][a-z]+[A-Z]\w+):"
    return {page: {one or other for one, other in re.findall(names, text(page), re.M)} for page in pages()}


def released():
    """The version of the newest release."""
    return re.search(r"^## \[(\d[^\]]*)\]", text("CHANGELOG.md"), re.M).group(1)


def machine(name):
    """A definition of the folder statemachines, as it stands."""
    return json.loads(text(f"statemachines/{name}.asl.json"))


def placeholders(name):
    """What a definition leaves for the template to fill in."""
    return set(re.findall(r"\$\{(\w+)\}", text(f"statemachines/{name}.asl.json")))


def bulk_metrics():
    """The metrics that the machine for lists emits of EventFunction."""
    data = machine("bulk")["States"]["Measure"]["Arguments"]["MetricData"]
    return {one["MetricName"] for one in data if [d["Name"] for d in one["Dimensions"]] == ["Function"]}


def samples():
    """The sample events that came over HTTP, each with its name."""
    for path in sorted((ROOT / "events").glob("*.json")):
        event = json.loads(path.read_text("utf-8"))
        if "requestContext" in event:
            yield path.name, event

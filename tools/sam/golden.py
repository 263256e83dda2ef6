"""Golden copies of the stacks of sets.py; golden.py -record renews them.

The first set's copy is the whole stack in symbols, with its parameters' values. Each
other one is a JSON merge patch (RFC 7396) to it, so that a change of the template
shows once. Review a difference as you would the change that made it: a copy says what
is, assertions.py what has to be.
"""

import difflib
import functools
import json
import re
import sys

import sets
import stack as stacks

FOLDER = stacks.ROOT / "tools" / "sam" / "golden"
FIRST = next(iter(sets.SETS))
WIDTH = 200


def copy_of(values, symbols):
    """A stack as its copy holds it: openapi.yaml and the name of a deployment, which SAM makes anew, left out."""
    text = re.sub(r"ApiDeployment[0-9a-f]{10}", "ApiDeployment", json.dumps(symbols))
    copy = {"Parameters": values} | {section: json.loads(text)[section] for section in ("Resources", "Outputs")}
    for one in copy["Resources"].values():
        if one["Type"] == "AWS::ApiGateway::RestApi":
            one["Properties"]["Body"] = "openapi.yaml"
        elif one["Type"] == "AWS::ApiGateway::Deployment":
            one["Properties"].pop("Description", None)
        elif one["Type"] == "AWS::CloudWatch::Dashboard":
            one["Properties"]["DashboardBody"] = dashboard(one["Properties"]["DashboardBody"])
    return named(copy)


def dashboard(text):
    try:
        return json.loads(text)
    except ValueError:
        return text  # another check says so


def named(value):
    """The value, with objects in the place of lists whose elements have names."""
    if isinstance(value, dict):
        return {key: named(one) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    value = [named(one) for one in value]
    pairs = [name_and_rest(one) for one in value if isinstance(one, dict)]
    return dict(pairs) if value and len({name for name, _ in pairs if name}) == len(value) else value


def name_and_rest(one):
    if name := next((key for key in ("Sid", "Id", "PolicyName", "Name", "Key") if key in one), None):
        rest = {key: value for key, value in one.items() if key != name}
        return one[name], rest["Value"] if list(rest) == ["Value"] else rest
    return one.get("properties", {}).get("title"), one  # a widget of the dashboard


def patch(old, new):
    """The JSON merge patch that makes the new one of the old one."""
    return {key: None if key not in new else patch(old[key], new[key]) if isinstance(old.get(key), dict) and isinstance(new[key], dict) else new[key]
            for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def layout(value, indent=""):
    """JSON in lines: what fits into one has one."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(indent) + len(line) <= WIDTH:
        return line
    inner = indent + " "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + layout(one, inner) for one in value) + f"\n{indent}]"
    return "{\n" + ",\n".join(f"{inner}{json.dumps(key)}: {layout(one, inner)}" for key, one in sorted(value.items())) + f"\n{indent}}}"


@functools.cache
def recorded(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def differences(name, values, symbols):
    """What is not as recorded, by resource, output and parameter."""
    copy = copy_of(values, symbols)
    got = copy if name == FIRST else patch(recorded(FIRST), copy)
    want = recorded(name)
    for section in sorted(got.keys() | want.keys()):
        have, need = got.get(section, {}), want.get(section, {})
        for one in sorted(have.keys() | need.keys()):
            if have.get(one, "none") != need.get(one, "none"):
                lines = difflib.unified_diff(*(layout(side.get(one, "none")).splitlines() for side in (need, have)), n=0, lineterm="")
                changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
                yield f"golden/{name}.json, {one}: {' '.join(changed[:6])} (make golden renews the copies)"


def stale():
    """Copies of sets that there are no more."""
    for path in sorted(FOLDER.iterdir()):
        if path.name not in {f"{name}.json" for name in sets.SETS}:
            yield f"golden/{path.name} is of no set of parameters"


def record():
    texts, first = stacks.read(), {}
    FOLDER.mkdir(exist_ok=True)
    for name, given in sets.SETS.items():
        source, _, _, symbols = stacks.load(texts, given)
        copy = copy_of(stacks.parameters(source, given), symbols)
        (FOLDER / f"{name}.json").write_text(layout(patch(first, copy)) + "\n", "utf-8")
        first = first or copy


if __name__ == "__main__":
    if sys.argv[1:] != ["-record"]:
        sys.exit("golden.py -record renews the golden copies; check.py compares them")
    record()

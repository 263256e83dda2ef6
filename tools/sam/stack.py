"""The template as CloudFormation would come to see it.

load() reads template.yaml, puts openapi.yaml where AWS::Include would, has the
SAM translator make CloudFormation of it and resolves parameters and conditions,
so that what is left is what one stack consists of. What only AWS knows, such as
an ARN, stays a Ref or Fn::GetAtt.
"""

import copy
import functools
import json
import logging
import re
from pathlib import Path

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

logging.getLogger("samtranslator").setLevel(logging.ERROR)

ROOT = Path(__file__).resolve().parents[2]
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "eu-west-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "segura",
    "AWS::StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/segura/0",
}
ACCOUNT, REGION, NAME = (PSEUDO[f"AWS::{one}"] for one in ("AccountId", "Region", "StackName"))
STACK_ID = PSEUDO["AWS::StackId"].rsplit("/", 1)[-1]
NOTHING = object()
SESSION = boto3.session.Session(region_name=PSEUDO["AWS::Region"])


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads !Ref and its like as SAM does."""


Loader.add_multi_constructor("!", intrinsics_multi_constructor)


class Invalid(Exception):
    """The template, or a value for a parameter, is one that AWS would refuse."""


def read(root=ROOT):
    """The text of the two files that a stack is made from."""
    return {name: (root / name).read_text("utf-8") for name in ("template.yaml", "openapi.yaml")}


@functools.lru_cache(4)
def as_json(text):
    return json.dumps(yaml.load(text, Loader))


def parse(texts):
    """The source template, with the document that it includes in its place."""
    template, document = (json.loads(as_json(texts[name])) for name in ("template.yaml", "openapi.yaml"))

    def include(value):
        if isinstance(value, dict):
            if list(value) == ["Fn::Transform"]:
                call = value["Fn::Transform"]
                if call != {"Name": "AWS::Include", "Parameters": {"Location": "openapi.yaml"}}:
                    raise Invalid(f"only openapi.yaml is included here, not {call}")
                return copy.deepcopy(document)
            return {key: include(one) for key, one in value.items()}
        return [include(one) for one in value] if isinstance(value, list) else value

    return include(template)


def translate(source, values):
    """What the SAM transform makes of it, for these values of its parameters."""
    template = copy.deepcopy(source)
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://artifacts/function.zip"  # as sam deploy leaves it
        if "DefinitionUri" in resource.get("Properties", {}):
            resource["Properties"]["DefinitionUri"] = "s3://artifacts/" + resource["Properties"]["DefinitionUri"]
    translator = Translator({}, Parser(), boto_session=SESSION)
    try:
        return plain(translator.translate(template, {name: str(value) for name, value in values.items()}))
    except Exception as fault:  # the translator has many kinds of its own
        raise Invalid(f"the SAM translator: {fault}") from fault


def parameters(template, given):
    """The parameters' values, checked as CloudFormation checks them."""
    declared = template.get("Parameters", {})
    if unknown := set(given) - set(declared):
        raise Invalid(f"there are no parameters {sorted(unknown)}")
    values = {}
    for name, p in declared.items():
        if name not in given and "Default" not in p:
            raise Invalid(f"parameter {name} has no value")
        text = str(given.get(name, p.get("Default")))
        number = float(text) if p["Type"] == "Number" else 0
        problem = (
            "AllowedValues" in p and text not in [str(v) for v in p["AllowedValues"]]
            or "AllowedPattern" in p and not re.fullmatch(p["AllowedPattern"], text)
            or len(text) > p.get("MaxLength", 4096)
            or number < p.get("MinValue", number) or number > p.get("MaxValue", number)
        )
        if problem:
            raise Invalid(f"parameter {name} does not take {text!r}")
        values[name] = (int(number) if number == int(number) else number) if p["Type"] == "Number" else text
    return values


def broken_rules(template, given):
    """The names of the Rules whose assertions these values do not meet."""
    resolver = Resolver(template, parameters(template, given))
    broken = []
    for name, rule in template.get("Rules", {}).items():
        if "RuleCondition" in rule and not resolver.test(rule["RuleCondition"]):
            continue
        if not all(resolver.test(one["Assert"]) for one in rule["Assertions"]):
            broken.append(name)
    return broken


class Resolver:
    """Resolves intrinsic functions as far as parameters and conditions go."""

    def __init__(self, template, values):
        self.template, self.values = template, values
        self.conditions = template.get("Conditions", {})

    def holds(self, name):
        if name not in self.conditions:
            raise Invalid(f"there is no condition {name}")
        return self.test(self.conditions[name])

    def test(self, expression):
        (function, argument), = expression.items()
        if function == "Condition":
            return self.holds(argument)
        if function == "Fn::Equals":
            left, right = (str(self.resolve(one)) for one in argument)
            return left == right
        if function == "Fn::Not":
            return not self.test(argument[0])
        if function in ("Fn::And", "Fn::Or"):
            return (all if function == "Fn::And" else any)([self.test(one) for one in argument])
        raise Invalid(f"{function} is not a condition")

    def resolve(self, value):
        """The value, or NOTHING where AWS::NoValue takes it away."""
        if isinstance(value, list):
            return [one for one in map(self.resolve, value) if one is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref":
                return self.ref(argument)
            if function == "Fn::If":
                return self.resolve(argument[1] if self.holds(argument[0]) else argument[2])
            if function == "Fn::Sub":
                return self.sub(argument)
            if function == "Fn::Split":
                text = self.resolve(argument[1])
                return text.split(argument[0]) if isinstance(text, str) else {function: [argument[0], text]}
            if function == "Fn::Select":
                return self.resolve(argument[1])[argument[0]]
            if function == "Fn::GetAtt":
                return {function: argument.split(".", 1) if isinstance(argument, str) else argument}
            if function.startswith("Fn::"):
                raise Invalid(f"{function} is not used here")
        resolved = {key: self.resolve(one) for key, one in value.items()}
        return {key: one for key, one in resolved.items() if one is not NOTHING}

    def ref(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in PSEUDO:
            return PSEUDO[name]
        return self.values.get(name, {"Ref": name})

    def sub(self, argument):
        text, own = argument if isinstance(argument, list) else (argument, {})
        own = {name: self.resolve(value) for name, value in own.items()}
        left = {}

        def replace(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            value = own[name] if name in own else self.ref(name) if "." not in name else None
            if isinstance(value, dict) and list(value) == ["Fn::Sub"]:
                return value["Fn::Sub"]  # a piece that still has resources in it
            if isinstance(value, (str, int, float)):
                return str(value)
            left[name] = True
            return match.group(0)

        text = re.sub(r"\$\{([^}]+)\}", replace, text)
        return {"Fn::Sub": text} if "${" in text else text

    def stack(self):
        """The template of the one stack that these values make."""
        def kept(section):
            for name, one in self.template.get(section, {}).items():
                if "Condition" not in one or self.holds(one["Condition"]):
                    yield name, self.resolve({k: v for k, v in one.items() if k != "Condition"})
        out = {"AWSTemplateFormatVersion": "2010-09-09", "Description": self.template["Description"]}
        out["Resources"], out["Outputs"] = dict(kept("Resources")), dict(kept("Outputs"))
        return out


def references(value):
    """The names of the resources that a value refers to."""
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "Ref" and isinstance(one, str):
                yield one
            elif key == "Fn::GetAtt":
                yield one[0] if isinstance(one, list) else one.split(".")[0]
            elif key == "Fn::Sub" and isinstance(one, str):
                yield from (name.split(".")[0] for name in re.findall(r"\$\{([^}!]+)\}", one))
            elif key == "DependsOn":
                yield from [one] if isinstance(one, str) else one
            else:
                yield from references(one)


def symbolic(value):
    """The value with every reference written as text: <Name> and <Name.Attribute>."""
    if isinstance(value, list):
        return [symbolic(one) for one in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Ref"]:
        return f"<{value['Ref']}>"
    if list(value) == ["Fn::GetAtt"]:
        return f"<{'.'.join(value['Fn::GetAtt'])}>"
    if list(value) == ["Fn::Sub"]:
        return re.sub(r"\$\{([^}]+)\}", r"<\1>", value["Fn::Sub"])
    return {key: symbolic(one) for key, one in value.items()}


def plain(value):
    """Plain dicts and lists instead of the translator's ordered ones."""
    return json.loads(json.dumps(value))


def load(texts, given):
    """Source, translation, stack and stack in symbols, for given parameters."""
    source = parse(texts)
    values = parameters(source, given)
    translated = translate(source, values)
    stack = Resolver(translated, values).stack()
    return source, translated, stack, symbolic(stack)


class Stack:
    """One stack: its parameters, and what they make of the template."""

    def __init__(self, texts, name, given):
        self.name = name
        self.source, self.translated, self.template, self.symbols = load(texts, given)
        self.p = parameters(self.source, given)
        self.resources = self.symbols["Resources"]
        p = self.p
        self.api = p["ApiEnabled"] == "true"
        self.url = p["FunctionUrlEnabled"] == "true"
        self.schedule = p["ScheduleExpression"] != ""
        self.rule = p["EventPattern"] != ""
        self.windows = p["WindowsEnabled"] == "true"
        self.bulk = p["BulkEnabled"] == "true"
        self.audit = p["AuditBucketLock"] != ""
        self.results = p["ResultsEventBusName"] and f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{p['ResultsEventBusName']}"
        self.key = p["KmsKeyArn"]
        self.door_functions = ["EventFunction"] + ["ApiFunction"] * (self.api or self.url)
        self.window_functions = ["WindowApiFunction", "WindowFunction"]
        self.functions = self.door_functions + self.window_functions
        self.creates_secret = p["SecretArn"] == ""
        self.secret = "<Secret>" if self.creates_secret else p["SecretArn"]

    def properties(self, name):
        return self.resources.get(name, {}).get("Properties", {})

    def of_type(self, kind):
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}


def compare(what, got, want):
    """A fault, if the two differ."""
    if got != want:
        yield f"{what}: got {brief(got)}, want {brief(want)}"


def brief(value):
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=sorted)
    return text if len(text) < 600 else text[:600] + "…"

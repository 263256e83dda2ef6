"""What has to be true of template.yaml as it is written, and of what stands beside it.

Each check gets the source and the folder that it is in, and yields what is wrong.
"""

import json
import re
import tomllib

import facts
import sets
import stack as stacks
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from stack import compare


# Of parameters that do not have the code's: a stack keeps a pace unless it is told not to.
DEFAULTS = {"MaxCallsPerSecond": "10"}


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
    variables = {name.removeprefix("SEGURA_").replace("_", "").casefold(): one for name, one in facts.variables().items()}
    for name, one in facts.variables().items():
        yield from compare(f"parameters that end in {name}", parameters_of(source, name), [one["parameter"]] if "parameter" in one else [])
    yield from compare("variables without a parameter", set(variables) - {name.casefold() for name in declared}, {"secretid", "windowstable"})
    for name, parameter in declared.items():
        if known := variables.get(name.casefold()):
            yield from compare(f"default of {name}", str(parameter["Default"]), DEFAULTS.get(name, known["default"]))
            yield from compare(f"bounds of {name}", (parameter.get("MinValue"), parameter.get("MaxValue")), (known.get("min"), known.get("max")))


def environments(source):
    """The variables of each function."""
    return {name: source["Globals"]["Function"]["Environment"]["Variables"] | one["Properties"].get("Environment", {}).get("Variables", {})
            for name, one in source["Resources"].items() if one["Type"] == "AWS::Serverless::Function"}


def parameters_of(source, variable):
    """The parameters whose values a variable has, in any function."""
    return sorted({one for variables in environments(source).values() for one in stacks.references(variables.get(variable)) if one in source["Parameters"]} |
                  {one for variables in environments(source).values() for one in re.findall(r"\$\{(\w+)\}", json.dumps(variables.get(variable))) if one in source["Parameters"]})


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
    retention = PROVIDER_SCHEMA_MANAGER.get_resource_schema(stacks.PSEUDO["AWS::Region"], "AWS::Logs::LogGroup").schema["properties"]["RetentionInDays"]["enum"]
    yield from compare("values of LogRetentionDays", source["Parameters"]["LogRetentionDays"]["AllowedValues"], retention)
    for name, parameter in source["Parameters"].items():
        if parameter["Type"] not in ("String", "Number"):
            yield f"parameter {name}: its type is {parameter['Type']}"


# What AWS generates is at most this long, and so are the pseudo parameters.
PSEUDO_WIDTHS = {"AWS::StackName": 128, "AWS::Region": 25, "AWS::AccountId": 12, "AWS::Partition": 16, "AWS::NoValue": 0}
STACK_ID = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
GENERATED = 14  # a hyphen, twelve characters and, in an AWS secret's ARN, six more


def widest(source, value, own=()):
    """The most characters that a value can have."""
    if not isinstance(value, dict):
        return len(str(value))
    (function, argument), = value.items()
    if function == "Ref" or function == "Fn::GetAtt":
        return widest_name(source, argument, dict(own))
    if function == "Fn::If":
        return max(widest(source, one, own) for one in argument[1:])
    if function == "Fn::Sub":
        text, own = argument if isinstance(argument, list) else (argument, {})
        pieces = re.findall(r"\$\{([^}]+)\}", text)
        return len(re.sub(r"\$\{[^}]+\}", "", text)) + sum(widest_name(source, one, own) for one in pieces)
    if value == STACK_ID:
        return 36
    raise stacks.Invalid(f"nobody knows how long {value} is")


def widest_name(source, name, own):
    if name in own:
        return widest(source, own[name])
    if name in PSEUDO_WIDTHS:
        return PSEUDO_WIDTHS[name]
    if parameter := source["Parameters"].get(name):
        texts = parameter.get("AllowedValues") or [parameter.get("MinValue", 0), parameter["MaxValue"]] if parameter["Type"] == "Number" or "AllowedValues" in parameter else ["x" * parameter.get("MaxLength", 4096)]
        return max(len(str(one)) for one in texts)
    arn = len("arn:aws-us-gov:secretsmanager::123456789012:secret:-123456") + PSEUDO_WIDTHS["AWS::Region"]
    return PSEUDO_WIDTHS["AWS::StackName"] + len(name) + GENERATED + arn * (source["Resources"][name]["Type"] == "AWS::SecretsManager::Secret")


# Limits that cfn-lint's schemas do not know, and the names that SAM has for what CloudFormation makes.
NAME_LIMITS = {("AWS::SNS::Topic", "DisplayName"): 100, ("AWS::CloudWatch::Dashboard", "DashboardName"): 255, ("AWS::Serverless::Api", "Name"): 1024,
               ("AWS::Serverless::StateMachine", "Name"): 80, ("AWS::Events::Rule", "Name"): 64, ("AWS::Serverless::Function", "Description"): 256}


def source_names(source, _):
    """Whatever the stack is called, no name and no description is too long."""
    for resource, one in source["Resources"].items():
        for key in [key for key in one.get("Properties", {}) if key.endswith(("Name", "Description")) and key not in ("FunctionName", "EventBusName", "GroupName", "StageName", "MetricName")]:
            limit = NAME_LIMITS.get((one["Type"], key))
            if limit is None:
                limit = PROVIDER_SCHEMA_MANAGER.get_resource_schema(stacks.PSEUDO["AWS::Region"], one["Type"]).schema["properties"][key].get("maxLength", 1024)
            if (width := widest(source, one["Properties"][key])) > limit:
                yield f"{resource} {key} may have {width} characters, and {limit} are allowed"


def source_partitions(source, _):
    """Nothing is of one partition: not the suffix of a service, which kms:ViaService has, nor an ARN."""
    for path, text in strings(source["Resources"], ()):
        if "examples" not in path and (re.search(r"arn:aws[:-]", text) or re.search(r"\$\{AWS::Region\}\.amazonaws", text)):
            yield f"{'.'.join(map(str, path))} is of one partition: {text[:80]}"


def strings(value, path):
    """The texts in a document, each with the way to it."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from strings(one, (*path, key)) if isinstance(one, (dict, list)) else [((*path, key), one)] if isinstance(one, str) else ()


def source_environment(source, _):
    """Whatever the parameters are, the variables of a function fit the 4 KB that Lambda has for all of them, as JSON."""
    for name, variables in environments(source).items():
        size = sum(len(f'"{key}":"",') + widest(source, value) for key, value in variables.items())
        if size > 4096:
            yield f"the variables of {name} may have {size} bytes, and 4096 are allowed"


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
    yield from compare("SemanticVersion", application.get("SemanticVersion"), facts.released())
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
    yield from compare("docs/configuration.md: variables", set(documented), set(facts.variables()))
    for name, variable in facts.variables().items():
        default = variable["default"]
        if documented.get(name) not in written.get(default, {default}):
            yield f"docs/configuration.md: default of {name} is {documented.get(name)}, the code's is {default or 'empty'}"
    days = {name: source["Parameters"][name]["Default"] for name in ("LogRetentionDays", "WindowRetentionDays")}
    yield from compare("audit lines are kept as long as the windows that they name", days["LogRetentionDays"] >= days["WindowRetentionDays"], True)
    for page in (*facts.pages(), "SECURITY.md"):
        if "audit trail" in facts.text(page) and f"`LogRetentionDays`, {days['LogRetentionDays']} by default" not in facts.text(page):
            yield f"{page} calls the logs the audit trail, and does not say: `LogRetentionDays`, {days['LogRetentionDays']} by default"
    names = {name for section in ("Parameters", "Resources", "Outputs") for name in source[section]} | set(facts.CODE["metrics"]) | set(facts.CODE["windows"]["metrics"])
    for page, named in facts.documented_names().items():
        yield from compare(f"{page}: names that are neither the template's nor a metric's", named - names, set())


def source_makefile(source, root):
    """sam build finds a target for each function."""
    text = (root / "Makefile").read_text("utf-8")
    for name, one in source["Resources"].items():
        if one["Type"] == "AWS::Serverless::Function" and not re.search(rf"^build-{name}: NAME := ", text, re.M):
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
    variables = set().union(*environments(source).values())
    files = {one["parameters"]["env_vars"] for one in config["default"].values() if "env_vars" in one.get("parameters", {})}
    for file in files:
        local = json.loads((root / file).read_text("utf-8"))
        yield from compare(f"{file} functions", set(local), {"Parameters"})
        if unknown := set(local["Parameters"]) - variables:
            yield f"{file}: sam local passes over {sorted(unknown)}, which the template does not declare"


ONCE = [one for name, one in list(globals().items()) if name.startswith("source_")]

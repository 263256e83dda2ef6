"""What stands in the folder examples and is read by CloudFormation or Terraform."""

import json
import subprocess

import scanners
import stack as stacks
import yaml

FOLDER = stacks.ROOT / "examples"
HCL = "import hcl2, json, sys; print(json.dumps(hcl2.load(sys.stdin)))"


def parameters(source):
    """The set-ups: texts that the template takes, and that go together."""
    for path in sorted((FOLDER / "parameters").glob("*.yaml")):
        given = yaml.safe_load(path.read_text("utf-8"))
        yield from wrong_parameters(source, path.name, given)
        yield from (f"{path.name}: {name} is no text" for name, value in given.items() if not isinstance(value, str))


def wrong_parameters(source, where, given):
    try:
        stacks.parameters(source, given)
        yield from (f"{where}: the rule {rule} is broken" for rule in stacks.broken_rules(source, given))
    except stacks.Invalid as fault:
        yield f"{where}: {fault}"


def rule(_):
    """The stack with a rule, by cfn-lint."""
    for _, name, resource, message in scanners.cfn_lint([FOLDER / "pipeline-window.yaml"], serverless=False):
        yield f"pipeline-window.yaml: {name} {resource}: {message}"


def terraform(source):
    """It can be parsed, by what checkov parses it with, and names parameters and outputs that there are."""
    done = subprocess.run([scanners.CHECKOV.parent / "python", "-c", HCL], input=(FOLDER / "terraform" / "main.tf").read_text("utf-8"),
                          capture_output=True, text=True)
    if done.returncode:
        yield f"main.tf: {done.stderr}"
        return
    document = json.loads(done.stdout)
    stack, = (one["aws_cloudformation_stack"]["segura_enable"] for one in document["resource"] if "aws_cloudformation_stack" in one)
    yield from wrong_parameters(source, "main.tf", stack["parameters"][0])
    for output in document["output"]:
        (value,) = output.values()
        name = value["value"][0].split('"')[1]
        if name not in source["Outputs"]:
            yield f"main.tf: the stack has no output {name}"


def faults(texts):
    source = stacks.parse(texts)
    for one in (parameters, rule, terraform):
        yield from one(source)

"""Writes docs/parameters.md, every parameter of the template: parameters.py -record."""

import sys

import source as sources
import stack as stacks

PAGE = stacks.ROOT / "docs" / "parameters.md"
HEAD = """# Parameters

Every parameter of the stack, as `template.yaml` declares it; `make parameters` writes this page. How to give them is under [Deploy](deploy.md); [Configuration](configuration.md) has the variables alone.
"""


def page(source):
    variables = {}
    for variable in sorted({name for one in sources.environments(source).values() for name in one}):
        for parameter in sources.parameters_of(source, variable):
            variables[parameter] = f"`{variable}`"
    lines = [HEAD]
    for group in source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        lines += [f"## {group['Label']['default']}\n", "| parameter | variable | default | meaning |", "|---|---|---|---|"]
        for name in group["Parameters"]:
            one = source["Parameters"][name]
            default = f"`{one['Default']}`" if str(one["Default"]) else "empty"
            meaning = one["Description"].replace("<", "\\<") + bounds(one)
            lines.append(f"| `{name}` | {variables.get(name, '')} | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def bounds(one):
    """What else a value has to be, in a sentence."""
    if "MinValue" in one:
        return f" From {one['MinValue']}{' to ' + str(one['MaxValue']) if 'MaxValue' in one else ''}."
    if "MaxLength" in one:
        return f" At most {one['MaxLength']:,} characters."
    values = [str(value) for value in one.get("AllowedValues", [])]
    return f" One of {', '.join(values)}." if values and values != ["true", "false"] else ""


if __name__ == "__main__":
    if sys.argv[1:] != ["-record"]:
        sys.exit("parameters.py -record writes docs/parameters.md; check.py compares it")
    PAGE.write_text(page(stacks.parse(stacks.read())), "utf-8")

"""Writes the built template for the Serverless Application Repository: whoever deploys
from there has what CodeUri leads to, and no other file of ours. So openapi.yaml and the
machines' definitions are in it, and what its pages refer to are addresses.

flatten.py FILE ADDRESS: FILE is written in the folder of the built template, README.md
beside it; ADDRESS is where this version's source can be read.
"""

import json
import re
import sys
from pathlib import Path

import facts
import stack as stacks

BUILT = stacks.ROOT / ".aws-sam" / "build" / "template.yaml"
# What sam package takes to the bucket, or into the template, by itself.
UPLOADED = ("CodeUri", "LicenseUrl", "ReadmeUrl")


def flatten(template, openapi, address):
    """The template with documents in the place of paths."""
    template = json.loads(json.dumps(template))
    api = template["Resources"]["Api"]["Properties"]
    if list(api["DefinitionBody"]) != ["Fn::Transform"]:
        raise stacks.Invalid("the API includes nothing")
    api["DefinitionBody"] = openapi
    for one in template["Resources"].values():
        if one["Type"] == "AWS::Serverless::StateMachine":
            path = Path(one["Properties"].pop("DefinitionUri"))
            one["Properties"]["Definition"] = facts.machine(path.name.removesuffix(".asl.json"))
    template["Metadata"]["AWS::ServerlessRepo::Application"] |= {"HomePageUrl": address, "SourceCodeUrl": address}
    return template


def local_paths(value, folder, key=""):
    """The paths in a template that lead to something in its folder, and are not uploaded."""
    if isinstance(value, str):
        return [value] if key not in UPLOADED and 0 < len(value) < 200 and "\0" not in value and (folder / value).is_file() else []
    pairs = value.items() if isinstance(value, dict) else [(key, one) for one in value] if isinstance(value, list) else ()
    return [path for name, one in pairs for path in local_paths(one, folder, name)]


def readme(text, address):
    """The README with addresses in the place of the paths that it links."""
    return re.sub(r"\]\((?!https?:|#)", f"]({address}/", text)


if __name__ == "__main__":
    file, address = Path(sys.argv[1]), sys.argv[2].rstrip("/")
    texts = {"template": BUILT.read_text("utf-8"), "openapi": stacks.read()["openapi.yaml"]}
    published = flatten(*(json.loads(stacks.as_json(text)) for text in texts.values()), address)
    published["Metadata"]["AWS::ServerlessRepo::Application"]["ReadmeUrl"] = "README.md"
    file.with_name("README.md").write_text(readme(facts.text("README.md"), address), "utf-8")
    if left := local_paths(published, file.parent):
        sys.exit(f"local paths in the published template: {left}")
    file.write_text(json.dumps(published, indent=1), "utf-8")

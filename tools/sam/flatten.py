"""Writes the built template without AWS::Include, for the Serverless Application
Repository: whoever deploys from there could not read the included file in our bucket.
"""

import json
import sys
from pathlib import Path

import stack as stacks

BUILT = stacks.ROOT / ".aws-sam" / "build" / "template.yaml"


def flatten(text, openapi):
    """The template, in JSON, with the document in the place of the include."""
    template = json.loads(stacks.as_json(text))
    body = template["Resources"]["Api"]["Properties"]["DefinitionBody"]
    if list(body) != ["Fn::Transform"]:
        raise stacks.Invalid("the API includes nothing")
    template["Resources"]["Api"]["Properties"]["DefinitionBody"] = json.loads(stacks.as_json(openapi))
    return json.dumps(template, indent=1)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(flatten(BUILT.read_text("utf-8"), stacks.read()["openapi.yaml"]), "utf-8")

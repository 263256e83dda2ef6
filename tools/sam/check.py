"""Everything that is checked of the template without AWS. Ends with 1 for a fault."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import assertions
import build
import examples
import facts
import mutate
import parameters
import scanners
import sets
import stack as stacks
from stack import compare


def report(title, faults, began):
    print(f"{'ok  ' if not faults else 'FAIL'} {title} ({time.monotonic() - began:.1f} s)", flush=True)
    for fault in faults:
        print(f"     {fault}")
    return len(faults)


def source(texts):
    """The source as it stands, by cfn-lint and by SAM itself."""
    found = [f"{rule} {resource}: {message}" for _, rule, resource, message in
             scanners.cfn_lint([stacks.ROOT / "template.yaml"], serverless=False)]
    done = subprocess.run([scanners.BIN / "sam", "validate", "--lint", "--region", stacks.PSEUDO["AWS::Region"]],
                          cwd=stacks.ROOT, env=scanners.environment(), capture_output=True, text=True)
    return found + ([f"sam validate --lint: {done.stdout}{done.stderr}"] if done.returncode else [])


def page(texts):
    """docs/parameters.md is what the template says."""
    if parameters.page(stacks.parse(texts)) != facts.text("docs/parameters.md"):
        yield "docs/parameters.md is not what template.yaml says: make parameters writes it"


def cost(texts):
    """The page on cost says how many metrics the alarms watch: each has its price."""
    def watched(**given):
        stack = stacks.Stack(texts, "cost", given)
        return sum(len(list(assertions.watched(one["Properties"]))) for one in stack.of_type("AWS::CloudWatch::Alarm").values())
    api, page = watched(), facts.text("docs/cost.md")
    for sentence in (f"{api} with the API", f"{watched(ApiEnabled='false')} without =", f"{watched(ScheduleExpression='rate(1 day)', DefaultIdentifiers='5') - api} more with a schedule",
                     f"Windows add {watched(WindowsEnabled='true') - api} alarm metrics", f"Bulk adds {watched(BulkEnabled='true') - api} alarm metrics"):
        if sentence not in page:
            yield f"docs/cost.md does not say: {sentence}"


def released(texts):
    """A template of a release makes the same stack as the source, and SAM finds no fault in it."""
    subprocess.run(["make", "--silent", ".bin/dist"], cwd=stacks.ROOT, check=True)
    flat = subprocess.run([stacks.ROOT / ".bin" / "dist", "template", "-version", facts.released(), "arm64"],
                          cwd=stacks.ROOT, capture_output=True, text=True, check=True).stdout
    sources, faults = (json.loads(stacks.as_json(flat)), stacks.parse(texts)), []
    for one in sources:
        one["Resources"]["Api"]["Properties"]["AlwaysDeploy"] = False  # or the time of day is in the translation
    values = stacks.parameters(sources[0], sets.SETS["full"] | {"Architecture": "arm64"})
    got, want = (stacks.translate(one, values)["Resources"] for one in sources)
    separator, lines = got["BulkStateMachine"]["Properties"].pop("DefinitionString")["Fn::Join"]
    want["BulkStateMachine"]["Properties"].pop("DefinitionS3Location")
    faults += compare("the machine's definition", json.loads(separator.join(lines)), facts.machine("bulk"))
    for name in got | want:
        # How sam build makes a function is left out of the release.
        faults += compare(name, *(one.get(name, {}) | {"Metadata": None} for one in (got, want)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "template.yaml").write_text(flat, "utf-8")
        done = subprocess.run([scanners.BIN / "sam", "validate", "--lint", "--region", stacks.PSEUDO["AWS::Region"], "--template-file", "template.yaml"],
                              cwd=folder, env=scanners.environment(), capture_output=True, text=True)
    return faults + ([f"sam validate --lint: {done.stdout}{done.stderr}"] if done.returncode else [])


def scan(texts):
    """The scanners over each stack, and cfn-lint over the translation as well."""
    judge, faults, of = scanners.Judge(), [], {}
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, given in sets.SETS.items():
            source, translated, template, _ = stacks.load(texts, given)
            files.append(scanners.write(folder, name, template))
            of[str(files[-1])] = (name, stacks.parameters(source, given))
        findings = list(scanners.cfn_lint(files)) + list(scanners.checkov(folder))
        for file, rule, resource, message in findings:
            name, parameters = of[file]
            if not judge.keeps(rule, resource, parameters):
                faults.append(f"{name}: {rule} {resource}: {message}")
    with tempfile.TemporaryDirectory() as folder:
        translated.get("Metadata", {}).pop("cfn-lint", None)
        for _, rule, resource, message in scanners.cfn_lint([scanners.write(folder, "translated", translated)], serverless=False):
            if rule not in ("W1030", "W1033"):  # defaults that a condition keeps out; the stacks above have real values
                faults.append(f"translated: {rule} {resource}: {message}")
    return faults + judge.stale()


def main():
    texts, faults = stacks.read(), 0
    for title, one in (
        ("template.yaml: cfn-lint, sam validate --lint", lambda: source(texts)),
        ("the template of a release: the same stack, sam validate --lint", lambda: released(texts)),
        ("examples: parameters, a rule's stack, Terraform", lambda: list(examples.faults(texts))),
        (f"{len(sets.SETS)} resolved stacks ({', '.join(sets.SETS)}): assertions, golden copies", lambda: list(assertions.check(texts))),
        ("docs/parameters.md; docs/cost.md: the alarms' metrics", lambda: [*page(texts), *cost(texts)]),
        ("resolved stacks: cfn-lint, cfn-lint-serverless, checkov", lambda: scan(texts)),
        ("sam build: all functions, the same bytes from two folders", lambda: list(build.faults())),
    ):
        began = time.monotonic()
        faults += report(title, one(), began)
    print(f"     {len(scanners.KEPT)} kinds of findings are kept, with reasons, in {Path(scanners.__file__).relative_to(stacks.ROOT)}")
    lines, enough = mutate.plant_all()
    print(f"{'ok  ' if enough else 'FAIL'} assertions: " + "\n     ".join(lines))
    return 1 if faults or not enough else 0


if __name__ == "__main__":
    sys.exit(main())

"""What of the template is changed for the emulator, each with its reason; what is not
here is deployed as it stands. limits.py asks whether the reasons still hold.
"""

import datetime


def metric_math(template, url):
    """MiniStack refuses alarms on metric math: the first metric stands for it."""
    for one in template["Resources"].values():
        properties = one.get("Properties", {})
        if one["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in properties:
            first = next(metric["MetricStat"] for metric in properties.pop("Metrics") if "MetricStat" in metric)
            properties |= first["Metric"] | {"Statistic": first["Stat"], "Period": first["Period"]}


def unknown_types(template, url):
    """MiniStack refuses a template with a saved query or a pipe in it: both are left out."""
    resources = template["Resources"]
    for name in [name for name, one in resources.items() if one["Type"] in ("AWS::Logs::QueryDefinition", "AWS::Pipes::Pipe")]:
        del resources[name]


def reference_to_secret(template, url):
    """MiniStack's Ref of an AWS secret is its name, AWS's is its ARN; so is the attribute Id."""
    def mend(value):
        if value == {"Ref": "Secret"}:
            return {"Fn::GetAtt": ["Secret", "Id"]}
        if isinstance(value, dict):
            return {key: mend(one) for key, one in value.items()}
        return [mend(one) for one in value] if isinstance(value, list) else value
    template |= mend(template)


def scheduler_attributes(template, url):
    """MiniStack does not fill in <aws.scheduler.…>: a time and an id stand for them."""
    text = template["Resources"]["Schedule"]["Properties"]["Target"]["Input"]["Fn::Sub"]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def fill(value):
        if isinstance(value, str):
            for name, stand_in in {"scheduled-time": now, "execution-id": "e2e", "schedule-arn": "arn:aws:scheduler:eu-west-1:123456789012:schedule/e2e/e2e"}.items():
                value = value.replace(f"<aws.scheduler.{name}>", stand_in)
            return value
        if isinstance(value, dict):
            return {key: fill(one) for key, one in value.items()}
        return [fill(one) for one in value] if isinstance(value, list) else value
    text[:] = fill(text)


def addresses(template, url):
    """The names under amazonaws.com and on.aws lead to AWS: the emulator has paths of its own."""
    outputs = template["Outputs"]
    outputs["ApiUrl"]["Value"] = {"Fn::Sub": url + "/_aws/execute-api/${Api}/prod"}
    outputs["FunctionUrl"]["Value"] = {"Fn::Sub": [url + "/_aws/lambda-url/${Id}", {"Id": {"Fn::Select": [0, {"Fn::Split": [".", {"Fn::Select": [1, {
        "Fn::Split": ["://", {"Fn::GetAtt": ["ApiFunctionUrl", "FunctionUrl"]}]}]}]}]}}]}


def plain_http(template, url):
    """The emulator is spoken to without TLS: statements that deny that would deny everything."""
    for one in template["Resources"].values():
        policy = one.get("Properties", {}).get("PolicyDocument")
        if policy:
            policy["Statement"] = [statement for statement in policy["Statement"] if statement.get("Sid") != "DenyWithoutTls"]


def patience(template, url):
    """No limit of the emulator: closing windows is given up after 20 seconds instead of 15 minutes."""
    for one in template["Resources"].values():
        if one["Type"] == "AWS::Serverless::Function":
            one["Properties"]["Timeout"] = 20


ALL = [metric_math, unknown_types, reference_to_secret, scheduler_attributes, addresses, plain_http, patience]


def adapt(template, url):
    for one in ALL:
        one(template, url)
    return template

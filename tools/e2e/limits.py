"""What the emulator cannot do, and what is therefore not shown here. Each one is asked
for: when the emulator can do it, its row fails, and the adaptation goes, or a step comes.
"""

import json

from table import Failure, eventually

ALARM = {"Type": "AWS::CloudWatch::Alarm", "Properties": {
    "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 1,
    "Metrics": [{"Id": "sum", "Expression": "SUM(METRICS())"},
                {"Id": "one", "ReturnData": False, "MetricStat": {"Stat": "Sum", "Period": 60, "Metric": {"Namespace": "Segura", "MetricName": "Failed"}}}]}}
QUERY = {"Type": "AWS::Logs::QueryDefinition", "Properties": {"Name": "limit", "QueryString": "fields @message"}}
PIPE = {"Type": "AWS::Pipes::Pipe", "Properties": {
    "RoleArn": "arn:aws:iam::123456789012:role/pipe", "Source": "arn:aws:sqs:eu-west-1:123456789012:filled-in",
    "Target": "arn:aws:events:eu-west-1:123456789012:event-bus/default"}}
SECRET = {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "{}"}}
PAST, NOWHERE = "at(2026-01-01T00:00:00)", "arn:aws:lambda:eu-west-1:123456789012:function:nowhere"


class Limits:
    """What takes the emulator time is begun early."""

    def __init__(self, around, main):
        self.around, self.main = around, main
        self.sqs, self.scheduler, self.cloudformation = around.client("sqs"), around.client("scheduler"), around.client("cloudformation")
        anyone = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]})
        self.queues = {name: self.sqs.create_queue(QueueName=name, Attributes={"Policy": anyone})["QueueUrl"] for name in ("filled-in", "schedule-lost", "rule-lost")}
        self.schedule("filled-in", self.arn("filled-in"))
        self.schedule("schedule-lost", NOWHERE)
        events = around.client("events")
        events.put_rule(Name="rule-lost", EventPattern='{"source": ["com.example.lost"]}')
        events.put_targets(Rule="rule-lost", Targets=[{"Id": "nowhere", "Arn": NOWHERE, "DeadLetterConfig": {"Arn": self.arn("rule-lost")}, "RetryPolicy": {"MaximumRetryAttempts": 0}}])
        events.put_events(Entries=[{"Source": "com.example.lost", "DetailType": "Lost", "Detail": "{}"}])

    def arn(self, queue):
        return f"arn:aws:sqs:eu-west-1:123456789012:{queue}"

    def schedule(self, name, target):
        self.scheduler.create_schedule(Name=name, ScheduleExpression=PAST, FlexibleTimeWindow={"Mode": "OFF"}, Target={
            "Arn": target, "RoleArn": self.main.resource("ScheduleRole"), "Input": "<aws.scheduler.scheduled-time>",
            "DeadLetterConfig": {"Arn": self.arn("schedule-lost")}, "RetryPolicy": {"MaximumRetryAttempts": 0}})

    def drive(self, table):
        for can in (self.metric_math, self.unknown_types, self.reference_to_secret, self.scheduler_attributes, self.lost_by_schedule, self.lost_by_rule,
                    self.resource_policy, self.request_validators, self.gateway_responses, self.embedded_metrics, self.log_format):
            with table.step("limit: " + can.__doc__) as row:
                if can():
                    raise Failure("the emulator can do it now: drive it, and take away what stood for it")
                row.ended = "not in the emulator, as before"

    def made(self, name, resource):
        """What a stack of one resource ends in, and the Ref of that."""
        body = json.dumps({"Resources": {"One": resource}, "Outputs": {"Ref": {"Value": {"Ref": "One"}}}})
        self.cloudformation.create_stack(StackName=name, TemplateBody=body)
        stack = eventually(name, lambda: not (found := self.cloudformation.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith("IN_PROGRESS") and found)
        return stack["StackStatus"], next((one["OutputValue"] for one in stack.get("Outputs", [])), "")

    def left(self, queue):
        found = self.sqs.receive_message(QueueUrl=self.queues[queue]).get("Messages")
        return found and found[0]["Body"]

    def metric_math(self):
        """alarms on metric math"""
        return self.made("limit-alarm", ALARM)[0] == "CREATE_COMPLETE"

    def unknown_types(self):
        """saved queries and pipes"""
        try:
            return "CREATE_COMPLETE" in (self.made("limit-query", QUERY)[0], self.made("limit-pipe", PIPE)[0])
        except self.cloudformation.exceptions.ClientError:
            return False

    def reference_to_secret(self):
        """the Ref of an AWS secret is its ARN"""
        return self.made("limit-secret", SECRET)[1].startswith("arn:")

    def scheduler_attributes(self):
        """<aws.scheduler.…> is filled in"""
        return eventually("the schedule", lambda: self.left("filled-in"), 30) != "<aws.scheduler.scheduled-time>"

    def lost_by_schedule(self):
        """what a schedule cannot hand over gets into its queue"""
        return self.left("schedule-lost")

    def lost_by_rule(self):
        """what a rule cannot hand over gets into its queue"""
        return self.left("rule-lost")

    def resource_policy(self):
        """ApiCallers, the resource policy: whom IAM alone allows"""
        return self.main.api("POST", "/api-secrets/55/enable", caller=self.around.visitor)[0] == 403

    def request_validators(self):
        """a body that the gateway itself refuses"""
        return "send a JSON object with the members" in self.main.api("POST", "/api-secrets/enable", {})[1]["detail"]

    def gateway_responses(self):
        """an unsigned request is answered by a problem"""
        answer = self.around.request("POST", self.main.outputs()["ApiUrl"] + "/api-secrets/55/enable")[1]
        return isinstance(answer, dict) and "type" in answer

    def embedded_metrics(self):
        """metric lines become metrics of CloudWatch"""
        return self.around.client("cloudwatch").list_metrics(Namespace="Segura", MetricName="Enabled")["Metrics"]

    def log_format(self):
        """LoggingConfig's format reaches the function"""
        name = self.main.resource("ApiFunction")
        self.main.lambdas.update_function_configuration(FunctionName=name, LoggingConfig={"LogFormat": "Text", "LogGroup": self.main.resource("ApiFunctionLogs")})
        before = len(self.main.lines("ApiFunction"))
        self.main.api("POST", "/api-secrets/55/enable")
        return len(self.main.lines("ApiFunction")) == before

"""A stack, as its operator has it."""

import json

from surroundings import Surroundings
from table import Failure, eventually


class Deployed:
    def __init__(self, around: Surroundings, name):
        self.around, self.name = around, name
        self.cloudformation, self.lambdas, self.logs = (around.client(one) for one in ("cloudformation", "lambda", "logs"))

    def stack(self):
        return self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]

    def outputs(self):
        return {one["OutputKey"]: one["OutputValue"] for one in self.stack()["Outputs"]}

    def parameters(self):
        return {one["ParameterKey"]: one["ParameterValue"] for one in self.stack()["Parameters"]}

    def resource(self, name):
        return self.cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId=name)["StackResourceDetail"]["PhysicalResourceId"]

    def create(self, like, **parameters):
        """Makes this stack of the other's template, and does not wait for it."""
        # sam deploy put it there; the newest is the one that is deployed.
        s3 = self.around.client("s3")
        bucket = next(one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"].startswith("aws-sam-cli-managed"))
        newest = max((one for one in s3.list_objects_v2(Bucket=bucket)["Contents"] if one["Key"].endswith(".template")), key=lambda one: one["LastModified"])
        values = like.parameters() | parameters
        self.cloudformation.create_stack(StackName=self.name, TemplateURL=f"{self.around.url}/{bucket}/{newest['Key']}", Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
                                         Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()])

    def update(self, **changed):
        """Changes parameters alone, and returns the status at the end."""
        kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in self.parameters() if key not in changed]
        self.cloudformation.update_stack(StackName=self.name, UsePreviousTemplate=True, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
                                         Parameters=kept + [{"ParameterKey": key, "ParameterValue": value} for key, value in changed.items()])
        return self.settled()

    def settled(self):
        return eventually("the stack", lambda: not (status := self.stack()["StackStatus"]).endswith("IN_PROGRESS") and status, 120)

    def faults(self):
        return [f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', '')}"
                for one in self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"] if one["ResourceStatus"].endswith("_FAILED")]

    def invoke(self, function, document):
        """What a function answers; a function error as it is, with errorType."""
        reply = self.lambdas.invoke(FunctionName=self.resource(function), Payload=json.dumps(document).encode())
        answer = json.loads(reply["Payload"].read())
        if ("FunctionError" in reply) != (isinstance(answer, dict) and "errorType" in answer):
            raise Failure(f"{document}: FunctionError and errorType do not agree: {answer}")
        return answer

    def api(self, method, path, body=None, caller=None, headers=None):
        return self.around.request(method, self.outputs()["ApiUrl"] + path, body, caller or self.around.operations, headers=headers)

    def lines(self, function):
        """The lines of a function's log that are JSON objects."""
        group, found, page = self.resource(function + "Logs"), [], {}
        while True:
            answer = self.logs.filter_log_events(logGroupName=group, **page)
            for event in answer["events"]:
                try:
                    found.append(json.loads(event["message"]))
                except ValueError:
                    pass
            if not answer.get("nextToken"):
                return found
            page = {"nextToken": answer["nextToken"]}

    def audit(self, function, identifier):
        """The audit lines of an identifier in a function's log."""
        return [line for line in self.lines(function) if line.get("message") == "audit" and line.get("identifier") == identifier]

    def live(self, table=None):
        """The ids of the windows in the table that are not closed."""
        found = self.around.client("dynamodb").query(TableName=table or self.resource("WindowsTable"), KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "live"}})
        return sorted(one["sk"]["S"] for one in found["Items"])

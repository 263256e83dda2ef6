"""Values for the parameters: stacks that must be right, and ones that must not be."""

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
SECRET_KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/66666666-7777-8888-9999-000000000000"
SECRET = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:segura/mysafe-a1B2c3"
CALLERS = f"arn:aws:iam::{ACCOUNT}:role/operations,arn:aws:iam::210987654321:role/pipeline-*"

SETS = {
    # Nothing given: a REST API for the account, an empty AWS secret, no schedule.
    "minimal": {},
    # Everything that goes together.
    "full": {
        "SecretArn": SECRET,
        "SecretKmsKeyArn": SECRET_KEY,
        "AllowedIdentifiers": "5,7,100-199",
        "DefaultIdentifiers": "100-102",
        "AllowedEventSources": "com.example.portal",
        "ApiCallers": CALLERS,
        "ApiThrottleRate": 50,
        "ApiThrottleBurst": 100,
        "ApiAccessLog": "true",
        "ApiWebAclArn": f"arn:aws:wafv2:eu-west-1:{ACCOUNT}:regional/webacl/acl/11111111-2222-3333-4444-555555555555",
        "FunctionUrlEnabled": "true",
        "ScheduleExpression": "cron(0 8 ? * MON-FRI *)",
        "ScheduleTimeZone": "America/Sao_Paulo",
        "ScheduleIdentifiers": "5, 7",
        "ScheduleReason": "opening hours",
        "ScheduleFlexibleMinutes": 15,
        "EventPattern": '{"source": ["com.example.portal"], "detail-type": ["Maintenance window opened"]}',
        "EventBusName": "operations",
        "EventRetries": 1,
        "AlarmEmail": "operations@example.com",
        "NoSuccessHours": 74,
        "CredentialsTtl": "90s",
        "AttemptTimeout": "7s500ms",
        "MaxAttempts": 6,
        "MaxConcurrency": 16,
        "MemorySize": 256,
        "ApiReservedConcurrency": 5,
        "EventReservedConcurrency": 0,
        "LogLevel": "WARN",
        "LogRetentionDays": 365,
        "TracingEnabled": "true",
        "VpcSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
        "VpcSecurityGroupIds": "sg-0123456789abcdef0",
        "HttpsProxy": "http://proxy.example.com:3128",
        "NoProxy": "segura.example.com",
        "SecretsManagerEndpoint": "https://vpce-0123-abcd.secretsmanager.eu-west-1.vpce.amazonaws.com",
        "KmsKeyArn": KEY,
        "CodeSigningConfigArn": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:code-signing-config:csc-0123456789abcdef0",
    },
    # A private API, the created AWS secret under a key of one's own, the default bus.
    "private": {
        "Architecture": "x86_64",
        "ApiCallers": f"arn:aws:iam::{ACCOUNT}:role/operations",
        "ApiVpcEndpointIds": "vpce-0123456789abcdef0,vpce-0123456789abcdef1",
        "DefaultIdentifiers": "100-102",
        "ScheduleExpression": "rate(12 hours)",
        "EventPattern": '{"source": ["com.example.portal"]}',
        "AlarmTopicArn": f"arn:aws:sns:eu-west-1:{ACCOUNT}:alarms",
        "KmsKeyArn": KEY,
    },
    # No API at all, an AWS secret of one's own under AWS's key, all else under one's
    # own, a schedule that may pause for long.
    "no-api": {
        "ApiEnabled": "false",
        "SecretArn": SECRET,
        "KmsKeyArn": KEY,
        "ScheduleExpression": "cron(0 6 1 * ? *)",
        "ScheduleIdentifiers": "9223372036854775807",
        "NoSuccessHours": 0,
        "DashboardEnabled": "false",
        "TracingEnabled": "true",
    },
    # The function URL alone, though the API's extras are asked for, and a schedule
    # that is switched off.
    "url": {
        "ApiEnabled": "false",
        "ApiAccessLog": "true",
        "ApiWebAclArn": f"arn:aws:wafv2:eu-west-1:{ACCOUNT}:regional/webacl/acl/11111111-2222-3333-4444-555555555555",
        "FunctionUrlEnabled": "true",
        "ScheduleExpression": "at(2027-01-01T08:00:00)",
        "ScheduleIdentifiers": "5",
        "ScheduleState": "DISABLED",
        "AllowedEventSources": "com.example.portal, com.example.other",
        "VpcSubnetIds": "subnet-0123456789abcdef0",
        "VpcSecurityGroupIds": "sg-0123456789abcdef0,sg-0123456789abcdef1",
    },
}

# What the Rules are there to refuse, and the rule that has to.
REFUSED = [
    ("VpcNeedsBoth", {"VpcSubnetIds": "subnet-0123456789abcdef0"}),
    ("VpcNeedsBoth", {"VpcSecurityGroupIds": "sg-0123456789abcdef0"}),
    ("PrivateApiNeedsCallers", {"ApiVpcEndpointIds": "vpce-0123456789abcdef0"}),
    ("ScheduleNeedsIdentifiers", {"ScheduleExpression": "rate(1 day)"}),
    ("ReasonNeedsIdentifiers", {"ScheduleReason": "opening hours", "DefaultIdentifiers": "5"}),
    ("OneWayForAlarms", {"AlarmEmail": "operations@example.com", "AlarmTopicArn": f"arn:aws:sns:eu-west-1:{ACCOUNT}:alarms"}),
]

# Values that a parameter has to take.
RIGHT_VALUES = {
    "LogLevel": ["DEBUG", "INFO", "WARN", "ERROR"],
    "EventRetries": [0, 1, 2],
    "ApiThrottleRate": [1, 10000],
    "ApiThrottleBurst": [1, 5000],
    "AllowedIdentifiers": ["5", " 5 , 7 , 100 - 199 ", "1-9223372036854775807"],
    "ScheduleReason": ["Öffnung – 8 h", "x" * 256],
    "ScheduleExpression": ["rate(1 day)", "at(2027-01-01T08:00:00)", "cron(0/15 8-17 ? * MON#1 *)"],
    "ApiCallers": ["arn:aws:sts::123456789012:assumed-role/operations/*", "arn:aws-us-gov:iam::123456789012:user/path/alice"],
    "AllowedEventSources": ["aws.scheduler", "com.example.portal,aws.partner/example.com/1"],
    "CredentialsTtl": ["90s", "1h30m", "1.5m"],
}

# Values that a parameter must not take.
WRONG_VALUES = {
    "SecretArn": ["segura/mysafe", f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:segura/mysafe", "{\"client_id\": 1}"],
    "SecretKmsKeyArn": ["alias/mine", f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/mine", "*"],
    "KmsKeyArn": ["alias/mine", "*"],
    "AllowedIdentifiers": ["0", "05", "5;7", "5-", "a", "5,", "-5", "*"],
    "DefaultIdentifiers": ["0", "all", "5 7"],
    "ScheduleIdentifiers": ["0", "5-7", '"5"', "5,", "5]}, {"],
    "ScheduleReason": ['"', "\\", "<aws.scheduler.schedule-arn>", "a\nb", "x" * 257],
    "ScheduleExpression": ["daily", "0 8 * * *"],
    "ApiCallers": ["*", "operations", f"arn:aws:iam::{ACCOUNT}:role/a, arn:aws:iam::{ACCOUNT}:role/b"],
    "ApiVpcEndpointIds": ["vpc-0123456789abcdef0", "vpce-1, vpce-2"],
    "VpcSubnetIds": ["subnet-1, subnet-2", "sg-1"],
    "VpcSecurityGroupIds": ["sg-1, sg-2", "subnet-1"],
    "HttpsProxy": ["proxy:3128", "http://user:password@proxy:3128"],
    "AlarmEmail": ["operations"],
    "CredentialsTtl": ["5", "", "-5m", "5 minutes"],
    "AttemptTimeout": ["10", "", "10 s"],
    "MaxAttempts": [0, 101],
    "MaxConcurrency": [0, 901],
    "EventRetries": [-1, 3],
    "NoSuccessHours": [-1, 169],
    "ApiThrottleRate": [0],
    "ApiThrottleBurst": [0],
    "ScheduleFlexibleMinutes": [-1, 1441],
    "MemorySize": [64, 10241],
    "ApiReservedConcurrency": [-2],
    "EventReservedConcurrency": [-2],
    "LogRetentionDays": [0, 8],
    "LogLevel": ["TRACE", "info"],
    "Architecture": ["amd64"],
    "ApiEnabled": ["True", "yes"],
    "ApiAccessLog": ["yes"],
    "FunctionUrlEnabled": ["yes"],
    "DashboardEnabled": ["yes"],
    "TracingEnabled": ["yes"],
    "ScheduleState": ["OFF"],
    "ApiWebAclArn": [f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/acl/1", "acl"],
    "AllowedEventSources": ["a b", "a,,b", ","],
    "EventBusName": ["", "a b", "*"],
    "AlarmTopicArn": ["alarms"],
    "SecretsManagerEndpoint": ["vpce-0123.example.com"],
    "CodeSigningConfigArn": ["csc-0123456789abcdef0"],
}

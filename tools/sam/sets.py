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
    # No API at all, an AWS secret under AWS's key, a schedule that may pause for long.
    "no-api": {
        "ApiEnabled": "false",
        "SecretArn": SECRET,
        "ScheduleExpression": "cron(0 6 1 * ? *)",
        "ScheduleIdentifiers": "9223372036854775807",
        "NoSuccessHours": 0,
        "DashboardEnabled": "false",
        "TracingEnabled": "true",
    },
    # The function URL alone, and a schedule that is switched off.
    "url": {
        "ApiEnabled": "false",
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
    "EventRetries": [3],
    "NoSuccessHours": [169],
    "LogLevel": ["TRACE", "info"],
    "Architecture": ["amd64"],
    "ApiEnabled": ["True", "yes"],
}

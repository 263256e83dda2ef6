"""Plants faults in template.yaml and openapi.yaml, one at a time, and sees whether
the checks find them.

Each is a slip that a person could make, and that would hurt: somebody gets in,
something fails in silence, or does not deploy. What only the golden copies find, only
a reader of their difference finds, so it is counted apart. --quick stops there;
otherwise cfn-lint and checkov get those mutants as well, to tell what each is worth.
"""

import multiprocessing
import sys
import tempfile
import time

import assertions
import scanners
import sets
import stack as stacks

BAR = 38 / 40  # of what is planted

T, O = "template.yaml", "openapi.yaml"

# What, file, text, what takes its place, and which of its occurrences (from 0).
FAULTS = [
    # Roles
    ("a role reads every secret", T, "                Resource: !If [CreatesSecret, !Ref Secret, !Ref SecretArn]", "                Resource: '*'", 0),
    ("a role writes secrets too", T, "Action: secretsmanager:GetSecretValue", "Action: secretsmanager:*", 1),
    ("a role decrypts with every key", T, "                  Resource: !If [CreatesSecret, !Ref KmsKeyArn, !Ref SecretKmsKeyArn]", "                  Resource: '*'", 0),
    ("decryption is not bound to Secrets Manager", T, "                      kms:ViaService: !Sub secretsmanager.${AWS::Region}.${AWS::URLSuffix}\n", "", 1),
    ("decryption is bound to the wrong service", T, "kms:ViaService: !Sub secretsmanager.", "kms:ViaService: !Sub s3.", 0),
    ("decryption uses the wrong key", T, "!If [CreatesSecret, !Ref KmsKeyArn, !Ref SecretKmsKeyArn]", "!If [CreatesSecret, !Ref SecretKmsKeyArn, !Ref KmsKeyArn]", 0),
    ("a role writes every log", T, "Resource: !GetAtt EventFunctionLogs.Arn", "Resource: '*'", 0),
    ("a role writes the other function's log", T, "Resource: !GetAtt ApiFunctionLogs.Arn", "Resource: !GetAtt EventFunctionLogs.Arn", 0),
    ("a role gets a managed policy", T, "      Description: !Sub What EventFunction of ${AWS::StackName} may do\n", "      Description: !Sub What EventFunction of ${AWS::StackName} may do\n      ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]\n", 0),
    ("a role sends to the wrong queue", T, "                Resource: !GetAtt FailedEvents.Arn", "                Resource: !GetAtt UndeliveredEvents.Arn", 0),
    ("a role may not encrypt for its queue", T, "Action: [kms:GenerateDataKey, kms:Decrypt]", "Action: [kms:Decrypt]", 0),
    ("the code may make network interfaces", T, "                  Effect: Deny\n                  Action: ec2:*", "                  Effect: Allow\n                  Action: ec2:*", 0),
    ("a function has the other one's role", T, "Role: !GetAtt EventFunctionRole.Arn", "Role: !GetAtt ApiFunctionRole.Arn", 0),
    ("any schedule may use the role", T, "              ArnEquals:\n                aws:SourceArn:\n                  - !If [HasSchedule, !GetAtt ScheduleGroup.Arn, !Ref AWS::NoValue]\n                  - !If [HasWindows, !GetAtt ReconcileGroup.Arn, !Ref AWS::NoValue]\n", "", 0),
    ("the schedules may invoke every function", T, "                  - !If [SchedulesEvents, !GetAtt EventFunction.Arn, !Ref AWS::NoValue]", "                  - '*'", 0),
    ("anyone's API may invoke the function", T, "      SourceArn: !Sub arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/prod/POST/api-secrets/*\n", "", 0),
    ("any method of the API may invoke the function", T, "${Api}/prod/POST/api-secrets/*\n\n", "${Api}/*\n\n", 0),
    ("any rule may invoke the function", T, "      Principal: events.amazonaws.com\n      SourceArn: !GetAtt Rule.Arn\n", "      Principal: events.amazonaws.com\n", 0),
    # Credentials
    ("the empty secret changes its shape", T, '"client_secret": ""}', '"client_secret": "", "tenant": ""}', 0),
    ("the secret goes with the stack", T, "    Condition: CreatesSecret\n    DeletionPolicy: RetainExceptOnCreate", "    Condition: CreatesSecret\n    DeletionPolicy: Delete", 0),
    ("the secret is not under the key", T, "      KmsKeyId: !If [HasKmsKey, !Ref KmsKeyArn, !Ref AWS::NoValue]\n      SecretString", "      SecretString", 0),
    ("a credential is a parameter", T, "  SecretKmsKeyArn:\n    Type: String", "  ClientSecret:\n    Type: String\n    Default: ''\n    Description: Client secret of the access key.\n  SecretKmsKeyArn:\n    Type: String", 0),
    ("the secret's ARN may lack its end", T, "secret:.+-[A-Za-z0-9]{6}$'", "secret:.+$'", 0),
    # Functions
    ("the API's function times out after API Gateway", T, "      Timeout: 25", "      Timeout: 60", 0),
    ("the event function times out early", T, "      Timeout: 900", "      Timeout: 90", 0),
    ("the logs are not JSON", T, "        LogFormat: JSON", "        LogFormat: Text", 1),
    ("a log goes into the other group", T, "        LogGroup: !Ref EventFunctionLogs", "        LogGroup: !Ref ApiFunctionLogs", 0),
    ("a variable is misspelt", T, "        SEGURA_ALLOWED_IDENTIFIERS:", "        SEGURA_ALLOWED_IDENTIFIER:", 0),
    ("a variable is left out", T, "        SEGURA_DEFAULT_IDENTIFIERS: !Ref DefaultIdentifiers\n", "", 0),
    ("two variables are swapped", T, "SEGURA_ALLOWED_IDENTIFIERS: !Ref AllowedIdentifiers", "SEGURA_ALLOWED_IDENTIFIERS: !Ref DefaultIdentifiers", 0),
    ("the schedule's own source is not heard", T, "!If [AddsScheduler, !Sub '${AllowedEventSources},aws.scheduler', !Ref AllowedEventSources]", "!Ref AllowedEventSources", 0),
    ("the environment is not under the key", T, "    KmsKeyArn: !If [HasKmsKey, !Ref KmsKeyArn, !Ref AWS::NoValue]\n    VpcConfig", "    VpcConfig", 0),
    ("code signing is left out", T, "      CodeSigningConfigArn: !If [HasCodeSigning, !Ref CodeSigningConfigArn, !Ref AWS::NoValue]\n", "", 1),
    ("the security groups are the subnets", T, "        SecurityGroupIds: !Split [',', !Ref VpcSecurityGroupIds]", "        SecurityGroupIds: !Split [',', !Ref VpcSubnetIds]", 0),
    ("reservations are mixed up", T, "!If [ReservesEvent, !Ref EventReservedConcurrency", "!If [ReservesEvent, !Ref ApiReservedConcurrency", 0),
    ("an alias serves old configuration", T, "      Timeout: 900", "      Timeout: 900\n      AutoPublishAlias: live", 0),
    ("sam builds with its own idea of Go", T, "      BuildMethod: makefile", "      BuildMethod: go1.x", 1),
    ("the wrong architecture by default", T, "    Default: arm64", "    Default: x86_64", 0),
    ("a bound is not the code's", T, "    MaxValue: 900", "    MaxValue: 9000", 0),
    ("a default is not the code's", T, "    Default: 5m", "    Default: 50m", 0),
    ("traces are asked for, not allowed", T, "Action: [xray:PutTraceSegments, xray:PutTelemetryRecords]", "Action: [xray:PutTelemetryRecords]", 0),
    # On demand
    ("one method is open", O, "      security:\n        - sigv4: []", "      security: []", 1),
    ("one method loses its own security", O, "      security:\n        - sigv4: []\n", "", 2),
    ("the scheme is not IAM's", O, "x-amazon-apigateway-authtype: awsSigv4", "x-amazon-apigateway-authtype: awsSigV4", 0),
    ("one method has no integration", O, "      x-amazon-apigateway-integration:", "      x-amazon-apigateway-integrations:", 1),
    ("one method goes to the other function", O, "functions/${ApiFunction.Arn}/invocations", "functions/${EventFunction.Arn}/invocations", 2),
    ("one method is not a proxy's", O, "        type: aws_proxy", "        type: aws", 0),
    ("the gateway waits no longer than the function", O, "timeoutInMillis: 29000", "timeoutInMillis: 20000", 3),
    ("everyone else is allowed", O, "      Effect: Deny", "      Effect: Allow", 0),
    ("the callers are those denied", O, "          - ArnNotLike:", "          - ArnLike:", 0),
    ("without callers, every account may call", O, "              aws:PrincipalAccount: {Ref: 'AWS::AccountId'}", "              aws:PrincipalAccount: '*'", 0),
    ("the policy covers one stage only", O, "      Resource: execute-api:/*", "      Resource: execute-api:/test/*", 0),
    ("a private API is open to the whole VPC's world", O, "              aws:SourceVpce:", "              aws:SourceVpc:", 0),
    ("a private API is not", T, "Type: !If [IsApiPrivate, PRIVATE, REGIONAL]", "Type: REGIONAL", 0),
    ("the function URL is open", T, "AuthType: AWS_IAM", "AuthType: NONE", 0),
    ("requests are traced in full", T, "DataTraceEnabled: false", "DataTraceEnabled: true", 0),
    ("nothing throttles", T, "          ThrottlingRateLimit: !Ref ApiThrottleRate\n", "", 0),
    ("the access log does not say who called", T, '"caller":"$context.identity.userArn",', "", 0),
    ("the access log goes to the function's log", T, "log-group:${ApiAccessLogs}", "log-group:${ApiFunctionLogs}", 0),
    ("the access log is on by default", T, "  ApiAccessLog:\n    Type: String\n    Default: 'false'", "  ApiAccessLog:\n    Type: String\n    Default: 'true'", 0),
    ("changed parameters are not deployed", T, "      AlwaysDeploy: true\n", "", 0),
    ("the stage has another name", T, "      StageName: prod", "      StageName: live", 0),
    ("the web ACL is never there", T, "  HasWebAcl: !And [!Condition HasApi, !Not [!Equals [!Ref ApiWebAclArn, '']]]", "  HasWebAcl: !And [!Condition HasApi, !Equals [!Ref ApiWebAclArn, '']]", 0),
    ("bodies are not validated", O, "x-amazon-apigateway-request-validator: body and parameters", "x-amazon-apigateway-request-validator: parameters", 1),
    ("a gateway response is not JSON", O, '"title": "Too Many Requests", "status": 429,', '"title": "Too Many Requests", "status": $context.status', 0),
    ("a gateway response has another status", O, "  THROTTLED:\n    statusCode: '429'", "  THROTTLED:\n    statusCode: '503'", 0),
    ("all refusals become 400", O, "  DEFAULT_4XX:\n", "  DEFAULT_4XX:\n    statusCode: '400'\n", 0),
    ("a gateway response is left out", O, "  MISSING_AUTHENTICATION_TOKEN:", "  INVALID_API_KEY:", 0),
    ("a status is not documented", O, "        '207':", "        '202':", 0),
    ("a code is not documented", O, "            - upstream_unreachable\n", "", 1),
    ("a code is misspelt", O, "            - unexpected_response", "            - unexpected_reply", 0),
    ("a limit is not the code's", O, "          maxItems: 100", "          maxItems: 1000", 0),
    ("unknown fields are taken", O, "      additionalProperties: false", "      additionalProperties: true", 1),
    ("a path is misspelt", O, "  /api-secrets/disable:", "  /api-secret/disable:", 0),
    ("a shared response", O, "        '404':\n          description: >-", "        '404':\n          $ref: '#/components/responses/NotFound'\n          description: >-", 0),
    # Events out
    ("results may go where requests come from", T, "!Not [!Equals [!Ref ResultsEventBusName, !Ref EventBusName]]", "!Not [!Equals [!Ref ResultsEventBusName, '']]", 0),
    ("failed events stay on the bus", T, "              - anything-but: Success", "              - Success", 0),
    ("failed events of windows stay on the bus", T, "              - prefix: !GetAtt WindowFunction.Arn\n", "", 0),
    ("failed events lie in the queue in another form", T, "          InputPath: $.detail\n", "", 0),
    ("the rule may not send to the queue", T, "              Resource: !GetAtt FailedEvents.Arn\n              Condition:\n", "              Resource: !GetAtt UndeliveredEvents.Arn\n              Condition:\n", 0),
    ("a function puts events on every bus", T, "                  Action: events:PutEvents\n                  Resource: !Sub arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${ResultsEventBusName}", "                  Action: events:PutEvents\n                  Resource: '*'", 0),
    ("every write of the table is told", T, '[{"exists": true}]', '[{"exists": false}]', 0),
    ("a window's end is read where it is not", T, "event.M.until.S>", "until.S>", 0),
    ("a window's change might be taken for a request", T, "          Source: segura-enable", "          Source: segura", 0),
    ("what the pipe cannot deliver is lost", T, "          OnPartialBatchItemFailure: AUTOMATIC_BISECT\n          DeadLetterConfig:\n            Arn: !GetAtt UndeliveredEvents.Arn\n", "          OnPartialBatchItemFailure: AUTOMATIC_BISECT\n", 0),
    ("any pipe may use the role", T, ":pipe/segura-enable-window-${Id}'", ":pipe/*'", 0),
    ("the table has no stream", T, "      StreamSpecification:\n        StreamViewType: NEW_IMAGE\n", "", 0),
    ("the access key's expiry is watched under another name", T, "MetricName: AccessKeyDaysLeft", "MetricName: AccessKeyDays", 0),
    # Audit that lasts
    ("audit lines can be removed", T, "      ObjectLockConfiguration:\n        ObjectLockEnabled: Enabled\n        Rule:\n          DefaultRetention:\n            Mode: !Ref AuditBucketLock\n            Days: !Ref AuditBucketDays\n", "", 0),
    ("audit lines are locked for another time", T, "            Days: !Ref AuditBucketDays", "            Days: !Ref BulkResultDays", 0),
    ("the audit bucket goes with the stack", T, "    Condition: HasAudit\n    DeletionPolicy: RetainExceptOnCreate", "    Condition: HasAudit\n    DeletionPolicy: Delete", 0),
    ("anyone may read the audit bucket in the open", T, "              - !GetAtt AuditBucket.Arn\n              - !Sub ${AuditBucket.Arn}/*", "              - !GetAtt AuditBucket.Arn", 0),
    ("the audit bucket may be made public", T, "        IgnorePublicAcls: true\n        RestrictPublicBuckets: true\n      VersioningConfiguration:\n        Status: Enabled\n      # A version", "        IgnorePublicAcls: true\n      VersioningConfiguration:\n        Status: Enabled\n      # A version", 0),
    ("all lines go to the audit bucket", T, 'FilterPattern: \'{ $.message = "audit" }\'', "FilterPattern: ''", 1),
    ("audit lines of windows are left out", T, "      LogGroupName: !Ref WindowFunctionLogs\n      FilterPattern", "      LogGroupName: !Ref WindowApiFunctionLogs\n      FilterPattern", 0),
    ("audit lines stay in CloudWatch's wrapping", T, "                - {ParameterName: DataMessageExtraction, ParameterValue: 'true'}", "                - {ParameterName: DataMessageExtraction, ParameterValue: 'false'}", 0),
    ("Firehose may remove audit lines", T, "Action: [s3:PutObject, s3:AbortMultipartUpload]", "Action: [s3:PutObject, s3:AbortMultipartUpload, s3:DeleteObject]", 0),
    ("any account's Firehose may use the role", T, "            Condition:\n              StringEquals:\n                sts:ExternalId: !Ref AWS::AccountId\n", "", 0),
    ("an audit bucket by default", T, "    Default: ''\n    AllowedValues: ['', GOVERNANCE, COMPLIANCE]", "    Default: GOVERNANCE\n    AllowedValues: ['', GOVERNANCE, COMPLIANCE]", 0),
    ("a saved query asks for what no line has", T, "stats latest(action) as last,", "stats latest(verb) as last,", 0),
    ("a saved query passes over a log", T, "        - !Ref WindowApiFunctionLogs\n        - !Ref WindowFunctionLogs\n      QueryString", "        - !Ref WindowFunctionLogs\n      QueryString", 0),
    # On a schedule, on events
    ("a second stack cannot have the schedule", T, "      GroupName: !Ref ScheduleGroup", "      Name: segura-enable\n      GroupName: !Ref ScheduleGroup", 0),
    ("the schedule's failures go nowhere", T, "          MaximumRetryAttempts: 20\n        DeadLetterConfig:\n          Arn: !GetAtt UndeliveredEvents.Arn\n", "          MaximumRetryAttempts: 20\n", 0),
    ("the schedule's input is broken", T, '"detail": {${Detail}}}', '"detail": {${Detail}}', 0),
    ("the schedule's input names a piece that there is not", T, "${Identifiers}${Reason}", "${Identifier}${Reason}", 0),
    ("the schedule is not one to the function", T, '"source": "aws.scheduler"', '"source": "segura.scheduler"', 0),
    ("the schedule ignores its time zone", T, "      ScheduleExpressionTimezone: !Ref ScheduleTimeZone\n", "", 0),
    ("the schedule cannot be switched off", T, "      State: !Ref ScheduleState", "      State: ENABLED", 0),
    ("the schedule's window is never used", T, "Mode: !If [HasFlexibleWindow, FLEXIBLE, 'OFF']", "Mode: 'OFF'", 0),
    ("the schedule calls the API's function", T, "        Arn: !If [OpensWindows, !GetAtt WindowFunction.Arn, !GetAtt EventFunction.Arn]", "        Arn: !If [OpensWindows, !GetAtt WindowFunction.Arn, !GetAtt ApiFunction.Arn]", 0),
    ("the rule's failures go nowhere", T, "          DeadLetterConfig:\n            Arn: !GetAtt UndeliveredEvents.Arn\n", "", 0),
    ("the rule listens to the default bus", T, "      EventBusName: !Ref EventBusName\n", "", 0),
    ("the rule is disabled", T, "      State: ENABLED\n      Targets", "      State: DISABLED\n      Targets", 0),
    ("failed events go nowhere", T, "        OnFailure:\n          Destination: !If\n            - TellsResults\n            - !Sub arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${ResultsEventBusName}\n            - !GetAtt FailedEvents.Arn\n", "", 0),
    ("successes go to the queue instead", T, "        OnFailure:", "        OnSuccess:", 0),
    ("failed events are never repeated", T, "      MaximumRetryAttempts: !Ref EventRetries", "      MaximumRetryAttempts: 0", 0),
    # Queues, topic
    ("a queue takes plain HTTP", T, "                aws:SecureTransport: 'false'", "                aws:SecureTransport: 'true'", 0),
    ("a queue's policy is the other one's", T, "      Queues: [!Ref UndeliveredEvents]", "      Queues: [!Ref FailedEvents]", 0),
    ("a queue is not encrypted", T, "      SqsManagedSseEnabled: !If [HasKmsKey, !Ref AWS::NoValue, true]", "      SqsManagedSseEnabled: false", 0),
    ("a queue is not under the key", T, "      KmsMasterKeyId: !If [HasKmsKey, !Ref KmsKeyArn, !Ref AWS::NoValue]\n\n  UndeliveredEventsPolicy", "\n  UndeliveredEventsPolicy", 0),
    ("any rule may fill a queue", T, "              Condition:\n                ArnEquals:\n                  aws:SourceArn: !GetAtt Rule.Arn\n", "", 0),
    ("a queue forgets after a day", T, "      MessageRetentionPeriod: 1209600", "      MessageRetentionPeriod: 86400", 0),
    ("anyone's alarm may use the topic", T, "              StringEquals:\n                aws:SourceAccount: !Ref AWS::AccountId\n              ArnLike:", "              ArnLike:", 0),
    ("alarms may not use the topic", T, "Principal: {Service: cloudwatch.amazonaws.com}", "Principal: {Service: events.amazonaws.com}", 0),
    ("nobody gets the e-mail", T, "  HasEmail: !And [!Condition CreatesTopic, !Not [!Equals [!Ref AlarmEmail, '']]]", "  HasEmail: !And [!Condition CreatesTopic, !Equals [!Ref AlarmEmail, '']]", 0),
    # Alarms, dashboard, logs
    ("an alarm's metric does not exist", T, "MetricName: Failed,", "MetricName: Failures,", 4),
    ("an alarm's namespace does not exist", T, "Namespace: Segura,", "Namespace: segura,", 6),
    ("an alarm's dimension does not exist", T, "{Name: Function, Value: !Ref EventFunction}", "{Name: FunctionName, Value: !Ref EventFunction}", 3),
    ("an alarm's code does not exist", T, "Value: upstream_timeout", "Value: upstream_time_out", 0),
    ("a code has no alarm", T, "Value: internal_error", "Value: deadline_exceeded", 0),
    ("silence is no alarm", T, "      TreatMissingData: breaching", "      TreatMissingData: notBreaching", 0),
    ("the wait for a success is never over", T, "      EvaluationPeriods: !Ref NoSuccessHours", "      EvaluationPeriods: 24", 0),
    ("success is any invocation", T, "MetricName: AlreadyEnabled,", "MetricName: Attempts,", 0),
    ("an alarm tells nobody", T, "      AlarmActions: [!If [CreatesTopic, !Ref AlarmTopic, !Ref AlarmTopicArn]]\n", "", 5),
    ("an alarm tells the wrong topic", T, "!If [CreatesTopic, !Ref AlarmTopic, !Ref AlarmTopicArn]", "!If [CreatesTopic, !Ref AlarmTopicArn, !Ref AlarmTopic]", 8),
    ("an alarm watches the other queue", T, "Value: !GetAtt UndeliveredEvents.QueueName", "Value: !GetAtt FailedEvents.QueueName", 0),
    ("an alarm watches the other function", T, "{Name: FunctionName, Value: !Ref EventFunction}", "{Name: FunctionName, Value: !Ref ApiFunction}", 0),
    ("an alarm asks for the default bus", T, ", !If [IsDefaultBus, !Ref AWS::NoValue, {Name: EventBusName, Value: !Ref EventBusName}]", "", 0),
    ("an alarm's threshold is out of reach", T, "      Threshold: 20000", "      Threshold: 25000", 0),
    ("an alarm counts averages", T, "      Statistic: Sum", "      Statistic: Average", 0),
    ("the alarm for 5xx counts 4xx", T, "      MetricName: 5XXError", "      MetricName: 4XXError", 0),
    ("the dashboard shows nothing for a metric", T, '["Segura", "TokenLatency", "Function", "${EventFunction}"', '["Segura", "TokenTime", "Function", "${EventFunction}"', 0),
    ("the dashboard is not JSON", T, '"${CredentialsAlarm.Arn}", "${UpstreamAlarm.Arn}",', '"${CredentialsAlarm.Arn}" "${UpstreamAlarm.Arn}",', 0),
    ("logs are kept for ever", T, "      RetentionInDays: !Ref LogRetentionDays\n", "", 1),
    ("logs go with the stack", T, "    DeletionPolicy: RetainExceptOnCreate\n", "", 2),
    # For a time
    ("the table goes with the stack", T, "    Type: AWS::DynamoDB::Table\n    DeletionPolicy: RetainExceptOnCreate", "    Type: AWS::DynamoDB::Table\n    DeletionPolicy: Delete", 0),
    ("the table cannot be had as it was", T, "        PointInTimeRecoveryEnabled: true", "        PointInTimeRecoveryEnabled: false", 0),
    ("the table is not under the key", T, "        KMSMasterKeyId: !If [HasKmsKey, !Ref KmsKeyArn, !Ref AWS::NoValue]\n", "", 0),
    ("closed windows are kept for ever", T, "        AttributeName: expires", "        AttributeName: expiry", 0),
    ("the table's keys are the other way round", T, "        - {AttributeName: pk, KeyType: HASH}\n        - {AttributeName: sk, KeyType: RANGE}", "        - {AttributeName: sk, KeyType: HASH}\n        - {AttributeName: pk, KeyType: RANGE}", 0),
    ("a role uses every table", T, "                Resource: !GetAtt WindowsTable.Arn", "                Resource: '*'", 0),
    ("a role deletes the table", T, "dynamodb:PutItem, dynamodb:DeleteItem]", "dynamodb:PutItem, dynamodb:DeleteItem, dynamodb:DeleteTable]", 0),
    ("the reconciler cannot leave its summary", T, "dynamodb:UpdateItem, ", "", 0),
    ("the reconciler cannot close anything", T, "dynamodb:UpdateItem, dynamodb:DeleteItem]", "dynamodb:UpdateItem]", 0),
    ("the table cannot be decrypted", T, "Action: [kms:Decrypt, kms:DescribeKey]", "Action: kms:DescribeKey", 1),
    ("the reconciler runs every hour", T, "      ScheduleExpression: rate(1 minute)", "      ScheduleExpression: rate(1 hour)", 0),
    ("the reconciler is off", T, "      ScheduleExpression: rate(1 minute)\n      State: ENABLED", "      ScheduleExpression: rate(1 minute)\n      State: DISABLED", 0),
    ("the reconciler may start late", T, "      FlexibleTimeWindow:\n        Mode: 'OFF'", "      FlexibleTimeWindow:\n        Mode: FLEXIBLE\n        MaximumWindowInMinutes: 15", 0),
    ("the reconciler is told something else", T, """        Input: '{"reconcile": true}'""", """        Input: '{"check": true}'""", 0),
    ("the reconciler's schedule calls the other function", T, "      Target:\n        Arn: !GetAtt WindowFunction.Arn", "      Target:\n        Arn: !GetAtt WindowApiFunction.Arn", 0),
    ("the schedules may not run the reconciler", T, "                  - !If [HasWindows, !GetAtt WindowFunction.Arn, !Ref AWS::NoValue]\n", "", 0),
    ("a reconciler that cannot be started is lost", T, "          MaximumRetryAttempts: 1\n        DeadLetterConfig:\n          Arn: !GetAtt UndeliveredEvents.Arn\n", "          MaximumRetryAttempts: 1\n", 0),
    ("failed windows go nowhere", T, "      FunctionName: !Ref WindowFunction\n      Qualifier: $LATEST", "      FunctionName: !Ref WindowApiFunction\n      Qualifier: $LATEST", 0),
    ("a deleted stack leaves windows open", T, "        - !If [HasWindows, !Ref ReconcileSchedule, !Ref AWS::NoValue]\n        - !Ref WindowFunctionInvocations\n", "        - none\n", 0),
    ("windows can be opened while the stack goes", T, "    Condition: HasApi\n    DependsOn: LastWindows\n", "    Condition: HasApi\n", 0),
    ("a schedule opens windows while the stack goes", T, "    Condition: HasSchedule\n    DependsOn: LastWindows\n", "    Condition: HasSchedule\n", 0),
    ("switching off closes nothing", T, "      WindowsEnabled: !Ref WindowsEnabled\n", "", 0),
    ("switching off closes what is opened again", T, "        - !If [HasApi, !Ref Api.Stage, !Ref AWS::NoValue]\n", "", 0),
    ("the custom resource hangs for an hour", T, "      ServiceTimeout: 960\n", "", 0),
    ("the custom resource waits less than its function", T, "      ServiceTimeout: 960\n", "      ServiceTimeout: 300\n", 1),
    ("windows can be opened where they are off", T, "!If [HasWindows, !Ref AWS::NoValue, 0]", "!Ref AWS::NoValue", 0),
    ("the reconciler is shut off where windows are", T, "!If [HasWindows, !Ref AWS::NoValue, 0]", "!If [HasWindows, 0, !Ref AWS::NoValue]", 0),
    ("the function for windows over HTTP times out late", T, "      Timeout: 25", "      Timeout: 900", 1),
    ("the reconciler's time is short", T, "      Timeout: 900", "      Timeout: 60", 1),
    ("a window may last as long as it is kept", T, "          SEGURA_WINDOW_MAX_DURATION: !If [HasWindows, !Ref WindowMaxDuration, 0s]\n", "", 0),
    ("what is guarded is not", T, "          SEGURA_GUARDED_IDENTIFIERS: !Ref GuardedIdentifiers", "          SEGURA_GUARDED_IDENTIFIERS: !Ref AllowedIdentifiers", 1),
    ("the pace is not kept", T, "        SEGURA_MAX_CALLS_PER_SECOND: !Ref MaxCallsPerSecond\n", "", 0),
    ("a stack keeps no pace by default", T, "    Default: '10'", "    Default: ''", 0),
    ("what is overdue raises no alarm", T, "      MetricName: WindowsOverdue", "      MetricName: WindowOverdue", 0),
    ("what is overdue is looked for elsewhere", T, "      MetricName: WindowsOverdue\n      Dimensions:\n        - {Name: Function, Value: !Ref WindowFunction}", "      MetricName: WindowsOverdue\n      Dimensions:\n        - {Name: Function, Value: !Ref WindowApiFunction}", 0),
    ("a reconciler that does not run raises no alarm", T, "      ComparisonOperator: LessThanThreshold\n      Threshold: 1\n      TreatMissingData: breaching", "      ComparisonOperator: LessThanThreshold\n      Threshold: 1\n      TreatMissingData: notBreaching", 0),
    ("calls for windows fail unseen", T, "MetricName: Failed, Dimensions: [{Name: Function, Value: !Ref WindowFunction}]", "MetricName: Failed, Dimensions: [{Name: Function, Value: !Ref EventFunction}]", 0),
    ("a throttled table raises no alarm", T, "MetricName: WriteThrottleEvents", "MetricName: ConsumedWriteCapacityUnits", 0),
    ("drift raises no alarm", T, "      MetricName: DriftRepaired", "      MetricName: Drift", 0),
    ("the schedule opens a window without an end", T, ', "for": "${ScheduleFor}"', "", 0),
    ("a late schedule opens a late window", T, ' "from": "<aws.scheduler.scheduled-time>",', "", 0),
    ("a schedule that is delivered twice opens two", T, '"idempotency_key": "<aws.scheduler.execution-id>"', '"idempotency_key": "<aws.scheduler.attempt-number>"', 0),
    ("windows are on by default", T, "  WindowsEnabled:\n    Type: String\n    Default: 'false'", "  WindowsEnabled:\n    Type: String\n    Default: 'true'", 0),
    ("a window on a schedule needs no windows", T, "!And [!Equals [!Ref WindowsEnabled, 'true'], !Not [!Equals [!Ref ScheduleIdentifiers, '']]]", "!Not [!Equals [!Ref ScheduleIdentifiers, '']]", 0),
    ("windows are open to everyone", O, "        - sigv4: []\n      x-amazon-apigateway-request-validator: body and parameters\n      x-amazon-apigateway-integration:\n        type: aws_proxy\n        httpMethod: POST\n        uri:\n          Fn::If:\n", "        - {}\n      x-amazon-apigateway-request-validator: body and parameters\n      x-amazon-apigateway-integration:\n        type: aws_proxy\n        httpMethod: POST\n        uri:\n          Fn::If:\n", 0),
    ("windows go to the function without a table", O, "functions/${WindowApiFunction.Arn}/invocations", "functions/${ApiFunction.Arn}/invocations", 2),
    ("windows go to a function that is shut off", O, "            - Fn::Sub: arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${ApiFunction.Arn}/invocations", "            - Fn::Sub: arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${WindowApiFunction.Arn}/invocations", 1),
    ("nobody may say that there are no windows", T, "!If [HasWindows, !Ref WindowApiFunction, !Ref ApiFunction]", "!Ref WindowApiFunction", 0),
    ("anyone's API may open windows", T, "      SourceArn: !Sub arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/prod/*/windows*\n", "", 0),
    ("an unknown field of a window is taken", O, "      description: Exactly one of until and for. Repeats of an identifier count once.\n      additionalProperties: false", "      description: Exactly one of until and for. Repeats of an identifier count once.\n      additionalProperties: true", 0),
    ("a state of a window is not documented", O, "          enum: [scheduled, open, closing, closed]", "          enum: [scheduled, open, closed]", 0),
    ("a path of windows is left out", O, "  /windows/{id}/close:", "  /windows/{id}/stop:", 0),
    ("a refusal of windows is not documented", O, "            - idempotency_conflict\n", "", 0),
    # From a list
    ("bulk reads every object", T, "                Resource: !Sub ${BulkBucket.Arn}/lists/*", "                Resource: '*'", 0),
    ("bulk overwrites the lists", T, "                Resource: !Sub ${BulkBucket.Arn}/results/*", "                Resource: !Sub ${BulkBucket.Arn}/*", 0),
    ("bulk starts every machine", T, "                Resource: !Sub ['arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:segura-enable-bulk-${Id}', {Id: !Select [2, !Split ['/', !Ref AWS::StackId]]}]\n", "                Resource: '*'\n", 0),
    ("bulk cannot be redriven", T, "Action: [states:DescribeExecution, states:StopExecution, states:RedriveExecution]", "Action: [states:DescribeExecution, states:StopExecution]", 0),
    ("the bucket is public", T, "        BlockPublicPolicy: true", "        BlockPublicPolicy: false", 0),
    ("the bucket takes plain HTTP", T, "              - !Sub ${BulkBucket.Arn}/*\n            Condition:\n              Bool:\n                aws:SecureTransport: 'false'", "              - !Sub ${BulkBucket.Arn}/*\n            Condition:\n              Bool:\n                aws:SecureTransport: 'true'", 0),
    ("the bucket is not under the key", T, "SSEAlgorithm: !If [HasKmsKey, 'aws:kms', AES256]", "SSEAlgorithm: AES256", 0),
    ("the bucket goes with the stack", T, "    Condition: HasBulk\n    DeletionPolicy: RetainExceptOnCreate", "    Condition: HasBulk\n    DeletionPolicy: Delete", 0),
    ("results are kept for ever", T, "            ExpirationInDays: !Ref BulkResultDays\n", "", 0),
    ("the size of a batch is how many are under way", T, "        Concurrency: !Ref BulkConcurrency", "        Concurrency: !Ref BulkBatchSize", 0),
    ("bulk cannot count its rows", T, "Action: [states:ListMapRuns, states:DescribeMapRun]", "Action: states:ListMapRuns", 0),
    ("rows that failed for good raise no alarm", T, "      MetricName: BulkRowsFailed", "      MetricName: BulkRows", 0),
    ("a failed list raises no alarm", T, "MetricName: ExecutionsFailed, Dimensions: [{Name: StateMachineArn, Value: !Ref BulkStateMachine}]", "MetricName: ExecutionsSucceeded, Dimensions: [{Name: StateMachineArn, Value: !Ref BulkStateMachine}]", 0),
    # What an architect found: time bases, names, lengths, the published form, switching off
    ("errors of a long run are dated too far back", T, "      EvaluationPeriods: 5\n      DatapointsToAlarm: 1\n", "      EvaluationPeriods: 1\n", 0),
    ("a long run's duration is looked for too late", T, "      EvaluationPeriods: 5\n      DatapointsToAlarm: 1\n", "      EvaluationPeriods: 3\n      DatapointsToAlarm: 1\n", 1),
    ("one error among five periods is none", T, "      EvaluationPeriods: 5\n      DatapointsToAlarm: 1\n", "      EvaluationPeriods: 5\n      DatapointsToAlarm: 5\n", 0),
    ("errors of a long reconcile are dated too far back", T, "      EvaluationPeriods: 5\n      DatapointsToAlarm: 1\n", "      EvaluationPeriods: 2\n      DatapointsToAlarm: 1\n", 2),
    ("what lies in FailedEvents is called lost", T, "MetricName: DestinationDeliveryFailures", "MetricName: AsyncEventsDropped", 0),
    ("what lies in UndeliveredEvents is called lost", T, "MetricName: InvocationsFailedToBeSentToDeadLetterCount", "MetricName: InvocationDroppedCount", 0),
    ("a lost reconcile raises no alarm", T, "        - !If [HasWindows, {Id: reconcilerLost,", "        - !If [HasBulk, {Id: reconcilerLost,", 0),
    ("the reconciler's runs are taken for the schedule's", T, "      GroupName: !Ref ReconcileGroup", "      GroupName: !Ref ScheduleGroup", 0),
    ("a schedule that does not run raises no alarm", T, "      MetricName: InvocationAttemptCount", "      MetricName: TargetErrorCount", 0),
    ("a schedule's alarm is looked for by its name", T, "      MetricName: InvocationAttemptCount\n      Dimensions:\n        - {Name: ScheduleGroup, Value: !Ref ScheduleGroup}", "      MetricName: InvocationAttemptCount\n      Dimensions:\n        - {Name: ScheduleName, Value: !Ref Schedule}", 0),
    ("a schedule's alarm waits a day, whatever is asked", T, "      Period: 3600\n      EvaluationPeriods: !Ref NoSuccessHours\n      DatapointsToAlarm: !Ref NoSuccessHours\n      ComparisonOperator", "      Period: 86400\n      EvaluationPeriods: 1\n      DatapointsToAlarm: 1\n      ComparisonOperator", 0),
    ("windows on a schedule are awaited elsewhere", T, "Value: !If [OpensWindows, !Ref WindowFunction, !Ref EventFunction]", "Value: !Ref EventFunction", 0),
    ("a session's ARN is taken for a caller", T, "    AllowedPattern: '^$|^arn:aws[a-z-]*:iam::[0-9*?]+:((role|user)/[^, ]+|root)(,arn", "    AllowedPattern: '^$|^arn:aws[a-z-]*:(iam|sts)::[0-9*?]+:((assumed-role|role|user)/[^, ]+|root)(,arn", 0),
    ("callers of windows get no ARN", T, "${Api}/prod/*\n  FunctionUrl:", "${Api}/prod/POST/api-secrets/*\n  FunctionUrl:", 0),
    ("callers of windows may enable for good", T, "    Value: !Sub arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/prod/*/windows*", "    Value: !Sub arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/prod/*", 0),
    ("the endpoint takes TLS 1.0", T, "SecurityPolicy_TLS13_1_2_2021_06]", "TLS_1_0]", 0),
    ("the endpoint takes what AWS gives", T, "      SecurityPolicy: !If [IsApiPrivate, !Ref AWS::NoValue, SecurityPolicy_TLS13_1_2_2021_06]\n", "", 0),
    ("a private API is called by its own name alone", T, "      EndpointAccessMode: !If [IsApiPrivate, !Ref AWS::NoValue, STRICT]", "      EndpointAccessMode: STRICT", 0),
    ("a refused body is another path's", O, "The body is not what $context.httpMethod $context.resourcePath takes: send", "The body is not what POST /api-secrets/enable takes: send", 0),
    ("who is lost is not told of windows", O, ", the same with disable, or /windows and the paths below it.", ", or the same with disable.", 0),
    ("a rule's name is too long for some stacks", T, "      Name: !Sub ['segura-enable-events-${Id}', {Id: !Select [2, !Split ['/', !Ref AWS::StackId]]}]", "      Name: !Sub ${AWS::StackName}-rule", 0),
    ("a machine's name is too long for some stacks", T, "      Name: !Sub ['segura-enable-bulk-${Id}', {Id:", "      Name: !Sub ['${AWS::StackName}-${Id}', {Id:", 0),
    ("a topic's name is too long for some stacks", T, "      DisplayName: segura-enable", "      DisplayName: !Sub Alarms of ${AWS::StackName}", 0),
    ("a dashboard's name is too long for some stacks", T, "      DashboardName: !Sub ${AWS::StackName}-${AWS::Region}", "      DashboardName: !Sub ${AWS::StackName}-${AWS::StackName}", 0),
    ("the machine's log counts towards the account's policy", T, "/aws/vendedlogs/states/segura-enable-bulk-", "/aws/states/segura-enable-bulk-", 0),
    ("decryption works in one partition", T, "kms:ViaService: !Sub lambda.${AWS::Region}.${AWS::URLSuffix}", "kms:ViaService: !Sub lambda.${AWS::Region}.amazonaws.com", 1),
    ("a role is outside the boundary", T, "      PermissionsBoundary: !If [HasPermissionsBoundary, !Ref PermissionsBoundaryArn, !Ref AWS::NoValue]\n", "", 3),
    ("a role is not at its path", T, "      Path: !Ref RolePath\n", "", 5),
    ("a list is too long for the environment", T, "    MaxLength: 1000\n", "    MaxLength: 2000\n", 0),
    ("a variable has no bound", T, "    MaxLength: 300\n", "", 0),
    ("every function has what one acts on", T, "        GODEBUG: !Ref GoDebug\n", "        GODEBUG: !Ref GoDebug\n        SEGURA_DEFAULT_IDENTIFIERS: !Ref DefaultIdentifiers\n", 0),
    ("Go cannot be told about an old appliance", T, "        GODEBUG: !Ref GoDebug\n", "", 0),
    ("the audit trail ends after a quarter", T, "  LogRetentionDays:\n    Type: Number\n    Default: 400", "  LogRetentionDays:\n    Type: Number\n    Default: 90", 0),
    ("windows that nobody closes are opened by hand", T, "          SEGURA_WINDOW_MAX_DURATION: !If [HasWindows, !Ref WindowMaxDuration, 0s]", "          SEGURA_WINDOW_MAX_DURATION: !Ref WindowMaxDuration", 1),
    ("switched on, no window can be opened", T, "          SEGURA_WINDOW_MAX_DURATION: !If [HasWindows, !Ref WindowMaxDuration, 0s]", "          SEGURA_WINDOW_MAX_DURATION: !If [HasWindows, 0s, !Ref WindowMaxDuration]", 0),
    # Conditions, rules, outputs, metadata
    ("a condition is upside down", T, "  HasVpc: !Not [!Equals [!Ref VpcSubnetIds, '']]", "  HasVpc: !Equals [!Ref VpcSubnetIds, '']", 0),
    ("a condition is too narrow", T, "  HasApiFunction: !Or [", "  HasApiFunction: !And [", 0),
    ("a resource has lost its condition", T, "  ScheduleRole:\n    Type: AWS::IAM::Role\n    Condition: HasSchedules\n", "  ScheduleRole:\n    Type: AWS::IAM::Role\n", 0),
    ("half a VPC is taken", T, "          - !And [!Equals [!Ref VpcSubnetIds, ''], !Equals [!Ref VpcSecurityGroupIds, '']]", "          - !Equals [!Ref VpcSecurityGroupIds, '']", 0),
    ("a private API that nobody may call is taken", T, "    RuleCondition: !Not [!Equals [!Ref ApiVpcEndpointIds, '']]", "    RuleCondition: !Equals [!Ref ApiVpcEndpointIds, 'vpce-']", 0),
    ("quotes get into the schedule's input", T, "    AllowedPattern: '^[^\"\\\\<>\\x00-\\x1f]*$'\n", "", 0),
    ("the API's address is not one", T, "execute-api.${AWS::Region}.${AWS::URLSuffix}/prod", "execute-api.${AWS::Region}.${AWS::URLSuffix}/v1", 0),
    ("an output is of the wrong queue", T, "    Value: !Ref UndeliveredEvents", "    Value: !Ref FailedEvents", 0),
    ("the version is not the release's", T, "    SemanticVersion: 1.0.0", "    SemanticVersion: 1.0.1", 0),
    ("a reference leads nowhere", T, "${EventFunctionLogs}", "${EventFunctionLog}", 0),
    # What takes a reader, or AWS
    ("a description says the opposite", T, "Empty - any. The stack's own", "Empty - none. The stack's own", 0),
    ("an alarm's advice is wrong", T, "Deal with it, then delete it.", "Nothing needs to be done.", 0),
]


def plant(texts, fault):
    """The texts with the fault in them."""
    _, file, old, new, nth = fault
    text, at = texts[file], -1
    for _ in range(nth + 1):
        at = text.find(old, at + 1)
        if at < 0:
            raise LookupError(f"{fault[0]}: {file} has no occurrence {nth} of {old!r}")
    return texts | {file: text[:at] + new + text[at + len(old):]}


def first(job):
    """The first thing that the assertions say of a mutant."""
    return next(iter(assertions.check(job)), None)


def judge_of(said):
    return "golden" if str(said).startswith("golden/") else "assertions" if said else "-"


def scanned(texts, mutants):
    """For each mutant: what cfn-lint and checkov find in it that they do not find without it."""
    base = {name: stacks.load(texts, given)[2] for name, given in sets.SETS.items()}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as sources:
        files, of = [], {}

        def add(number, name, template):
            files.append(scanners.write(folder, f"{number}-{name}", template))
            of[str(files[-1])] = (number, name)

        for name, template in base.items():
            add("base", name, template)
        for number, mutant in enumerate(mutants):
            for name, given in sets.SETS.items():
                try:
                    template = stacks.load(mutant, given)[2]
                except Exception:
                    continue  # this one is found before any scanner gets to see it
                # A deployment is called after the time of its translation.
                if shape(template) != shape(base[name]):
                    add(number, name, template)
                    break
        known, found = {}, {number: {"cfn-lint": set(), "checkov": set()} for number in range(len(mutants))}
        for tool, findings in (("cfn-lint", scanners.cfn_lint(files)), ("checkov", scanners.checkov(folder))):
            findings = [(*of[file], rule, resource) for file, rule, resource, _ in findings]
            for number, name, rule, resource in findings:
                if number == "base":
                    known.setdefault((tool, name), set()).add((rule, resource))
            for number, name, rule, resource in findings:
                if number != "base" and (rule, resource) not in known.get((tool, name), set()) and "ApiDeployment" not in resource:
                    found[number][tool].add(rule)
        return found


def shape(template):
    return {"ApiDeployment" if name.startswith("ApiDeployment") else name: {k: v for k, v in one.items() if "ApiDeployment" not in str(v)}
            for name, one in template["Resources"].items()} | {"outputs": template["Outputs"]}


def plant_all(quick=True):
    """Plants all, and returns what became of it: lines to print, and whether enough was found."""
    texts, began = stacks.read(), time.monotonic()
    if wrong := first(texts):
        return [f"the template has a fault of its own: {wrong}"], False
    mutants = [plant(texts, fault) for fault in FAULTS]
    with multiprocessing.Pool(2) as pool:
        said = pool.map(first, mutants, chunksize=4)
    others = {} if quick else scanned(texts, mutants)
    lines = []
    if not quick:
        lines.append(f"{'planted fault':<52}{'found by':<12}{'cfn-lint':<12}checkov")
        for number, fault in enumerate(FAULTS):
            tools = (" ".join(sorted(others[number][tool])) or "-" for tool in ("cfn-lint", "checkov"))
            lines.append(f"{fault[0]:<52}{judge_of(said[number]):<12}" + "".join(f"{one:<12}" for one in tools).rstrip())
        for tool in ("cfn-lint", "checkov"):
            lines.append(f"{tool} alone finds {sum(bool(one[tool]) for one in others.values())} of {len(FAULTS)}")
    missed = [fault[0] for number, fault in enumerate(FAULTS) if not said[number] and not any(others.get(number, {}).values())]
    copies = sum(judge_of(one) == "golden" for one in said)
    lines.append(f"{len(FAULTS)} planted faults, {len(FAULTS) - len(missed)} found, {copies} of them by the golden copies alone ({time.monotonic() - began:.1f} s)")
    return lines + [f"missed: {one}" for one in missed], len(missed) <= (1 - BAR) * len(FAULTS)


def main():
    lines, enough = plant_all(quick="--quick" in sys.argv[1:])
    print("\n".join(lines))
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())

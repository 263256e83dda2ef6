package activationtest

// Foreign are events of AWS that neither function serves, each with something
// in it that looks like a request.
var Foreign = map[string]string{
	"SNS": `{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"arn:aws:sns:eu-west-1:123456789012:t:1",
		"Sns":{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:eu-west-1:123456789012:t","Subject":"x","Message":"{\"identifier\":5}"}}]}`,
	"S3": `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":"b"},"object":{"key":"api-secrets/5/enable","size":5}}}]}`,
	"DynamoDB": `{"Records":[{"eventID":"1","eventName":"INSERT","eventSource":"aws:dynamodb","dynamodb":{"Keys":{"identifier":{"N":"5"}},
		"NewImage":{"identifier":{"N":"5"}},"StreamViewType":"NEW_IMAGE"}}]}`,
	"CloudWatch alarm": `{"source":"aws.cloudwatch","alarmArn":"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a","accountId":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1","alarmData":{"alarmName":"a"}}`,
	"CloudFormation": `{"RequestType":"Create","ResponseURL":"https://example.com","StackId":"s","RequestId":"1","ResourceType":"Custom::X",
		"LogicalResourceId":"X","ResourceProperties":{"ServiceToken":"x","identifier":"5"}}`,
	"Config":        `{"version":"1.0","invokingEvent":"{\"identifier\":5}","ruleParameters":"{}","resultToken":"t","eventLeftScope":false}`,
	"AppSync":       `{"arguments":{"identifier":5},"identity":null,"source":null,"request":{"headers":{}},"info":{"fieldName":"enable"}}`,
	"Lambda@Edge":   `{"Records":[{"cf":{"config":{"eventType":"viewer-request"},"request":{"method":"POST","uri":"/api-secrets/5/enable","headers":{}}}}]}`,
	"Bedrock agent": `{"messageVersion":"1.0","agent":{"name":"a"},"actionGroup":"g","apiPath":"/api-secrets/5/enable","httpMethod":"POST","parameters":[],"requestBody":{}}`,
	"asynchronous destination": `{"version":"1.0","timestamp":"2026-11-21T08:15:30.000Z","requestContext":{"requestId":"1","functionArn":"f","condition":"Success","approximateInvokeCount":1},
		"requestPayload":{"identifier":5},"responseContext":{"statusCode":200},"responsePayload":{"identifier":5}}`,
	"S3 by EventBridge": `{"version":"0","id":"1","detail-type":"Object Created","source":"aws.s3","account":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1",
		"resources":["arn:aws:s3:::b"],"detail":{"version":"0","bucket":{"name":"b"},"object":{"key":"5","size":5},"request-id":"1","reason":"PutObject"}}`,
	"CloudTrail by EventBridge": `{"version":"0","id":"1","detail-type":"AWS API Call via CloudTrail","source":"aws.secretsmanager","account":"123456789012",
		"time":"2026-11-21T08:15:30Z","region":"eu-west-1","resources":[],"detail":{"eventVersion":"1.08","eventName":"PutSecretValue","requestParameters":{"identifier":5}}}`,
}

// ForeignHTTP are events that carry an HTTP request, or look as if they did,
// and come neither from API Gateway nor from a function URL.
var ForeignHTTP = map[string]string{
	"ALB": `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/t/1"}},"httpMethod":"POST",
		"path":"/api-secrets/5/enable","queryStringParameters":{},"headers":{"host":"x"},"body":"","isBase64Encoded":false}`,
	"WebSocket": `{"requestContext":{"routeKey":"enable","messageId":"m","eventType":"MESSAGE","connectionId":"c","apiId":"a","domainName":"x","stage":"prod"},
		"body":"{\"action\":\"enable\",\"identifier\":5}","isBase64Encoded":false}`,
	"VPC Lattice": `{"raw_path":"/api-secrets/5/enable","method":"POST","headers":{"host":"x"},"query_string_parameters":{},"body":"","is_base64_encoded":false}`,
	"VPC Lattice, version 2": `{"version":"2.0","path":"/api-secrets/5/enable","method":"POST","headers":{"host":["x"]},"isBase64Encoded":false,
		"requestContext":{"serviceNetworkArn":"n","serviceArn":"s","targetGroupArn":"t","region":"eu-west-1","timeEpoch":"1"}}`,
	"REST API authorizer": `{"type":"REQUEST","methodArn":"arn:aws:execute-api:eu-west-1:123456789012:a/prod/POST/api-secrets/5/enable","resource":"/{proxy+}",
		"path":"/api-secrets/5/enable","httpMethod":"POST","headers":{"Host":"x"},"multiValueHeaders":{"Host":["x"]},"queryStringParameters":{},
		"pathParameters":{"proxy":"api-secrets/5/enable"},"stageVariables":{},"requestContext":{"path":"/prod/api-secrets/5/enable","httpMethod":"POST","stage":"prod","apiId":"a","identity":{}}}`,
	"REST API token authorizer": `{"type":"TOKEN","authorizationToken":"allow","methodArn":"arn:aws:execute-api:eu-west-1:123456789012:a/prod/POST/api-secrets/5/enable"}`,
	"HTTP API authorizer": `{"version":"2.0","type":"REQUEST","routeArn":"arn:aws:execute-api:eu-west-1:123456789012:a/$default/POST/api-secrets/5/enable","identitySource":["x"],
		"routeKey":"$default","rawPath":"/api-secrets/5/enable","rawQueryString":"","headers":{"host":"x"},"requestContext":{"apiId":"a","stage":"$default",
		"http":{"method":"POST","path":"/api-secrets/5/enable","protocol":"HTTP/1.1","sourceIp":"203.0.113.24","userAgent":"x"}}}`,
	"HTTP API of a later version": `{"version":"3.0","rawPath":"/api-secrets/5/enable","path":"/api-secrets/5/enable","httpMethod":"POST","headers":{},"requestContext":{"http":{"method":"POST"}}}`,
}

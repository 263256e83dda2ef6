package stage

import (
	"maps"
	"strings"
)

// host is that of the API in events.
const host = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"

// HTTPEvent is the event of an HTTP API (payload format 2.0), and nearly that of a
// function URL, ready to be changed. Header names are in lower case there. A body
// is JSON unless the header says otherwise.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func HTTPEvent(method, path, body string, header map[string]string) map[string]any {
	headers := map[string]any{"host": host}
	if body != "" {
		headers["content-type"] = "application/json"
	}
	for name, value := range header {
		headers[strings.ToLower(name)] = value
	}
	e := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "a1b2c3d4e5", "stage": "$default", "routeKey": "$default",
			"domainName": host, "domainPrefix": "a1b2c3d4e5",
			"requestId": "P8zkDiQ8oAMEJsQ=", "time": "21/Nov/2026:08:15:30 +0000", "timeEpoch": 1795248930512,
			"http": map[string]any{
				"method": method, "path": path, "protocol": "HTTP/1.1",
				"sourceIp": "203.0.113.24", "userAgent": "curl/8.14.1",
			},
		},
		"isBase64Encoded": false,
	}
	if body != "" {
		e["body"] = body
	}
	return e
}

// RESTEvent is the event of a REST API (payload format 1.0), as [HTTPEvent] is that
// of an HTTP API.
func RESTEvent(method, path, body string, header map[string]string) map[string]any {
	headers := map[string]any{"Host": host}
	if body != "" {
		headers["Content-Type"] = "application/json"
	}
	for name, value := range header {
		maps.DeleteFunc(headers, func(key string, _ any) bool { return strings.EqualFold(key, name) })
		headers[name] = value
	}
	multi := map[string]any{}
	for name, value := range headers {
		multi[name] = []any{value}
	}
	e := map[string]any{
		"resource": "/{proxy+}", "path": path, "httpMethod": method, "headers": headers, "multiValueHeaders": multi,
		"queryStringParameters": nil, "multiValueQueryStringParameters": nil, "pathParameters": nil, "stageVariables": nil,
		"requestContext": map[string]any{
			"resourcePath": "/{proxy+}", "httpMethod": method, "path": "/prod" + path, "stage": "prod",
			"accountId": "123456789012", "apiId": "a1b2c3d4e5", "requestId": "0fdbf7c5-4b5f-4a0f-8b8e-5f3a7c1d2e90",
			"identity": map[string]any{"sourceIp": "203.0.113.24", "userAgent": "curl/8.14.1"},
		},
		"body": nil, "isBase64Encoded": false,
	}
	if body != "" {
		e["body"] = body
	}
	return e
}

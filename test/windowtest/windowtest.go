// Package windowtest gives tests a table of windows on the simulated DynamoDB.
package windowtest

import (
	"testing"
	"time"

	"segura-enable/internal/windowtable"
	"segura-enable/simulated/dynamodb"
)

// Start starts a DynamoDB for the length of the test, and returns its table.
func Start(t *testing.T) (*windowtable.Table, *dynamodb.Server) {
	t.Helper()
	server, err := dynamodb.Start(t.Context(), dynamodb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return Connect(t, server), server
}

// Connect returns the server's table as the functions reach it: by the environment.
func Connect(t *testing.T, server *dynamodb.Server) *windowtable.Table {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": server.URL(), "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key",
		"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
	} {
		t.Setenv(name, value)
	}
	client, err := windowtable.NewDynamoDB(t.Context(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return &windowtable.Table{DynamoDB: client, Name: server.Table(), Retention: time.Hour}
}

"""Lambda's loop for Python, reduced to what the bench needs: import the function,
then fetch events and post what it returns. Lambda's own one does more."""

import http.client
import json
import os

import function

PREFIX = "/2018-06-01/runtime/invocation/"
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None):
    api.request(method, PREFIX + path, body)
    reply = api.getresponse()
    return reply.headers, reply.read()


while True:
    headers, event = call("GET", "next")
    request = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        answer, kind = function.handler(json.loads(event), None), "response"
    except Exception as fault:
        answer, kind = {"errorType": type(fault).__name__, "errorMessage": str(fault)}, "error"
    call("POST", f"{request}/{kind}", json.dumps(answer))

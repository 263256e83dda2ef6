"""Calls the API, signed with Signature Version 4:

  API_URL=https://… python3 examples/call.py /api-secrets/5/enable '{"reason": "CHG0012345"}'

Needs boto3. Credentials and region come from where it finds them. Ends with 75 where
the same call may be repeated, and with 1 where that is no use.
"""

import json
import os
import sys
import urllib.error
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest


def call(path, body):
    """The status and the document of the answer."""
    session = boto3.Session()
    request = AWSRequest("POST", os.environ["API_URL"] + path, data=body.encode(), headers={"Content-Type": "application/json"})
    SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(request)
    signed = urllib.request.Request(request.url, data=request.data, headers=dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(signed, timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def failures(document):
    """Those of a result (207), or the problem that the answer is."""
    return [one["error"] for one in document.get("results", []) if "error" in one] or [document] * ("code" in document)


if __name__ == "__main__":
    status, answer = call(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    print(json.dumps(answer))
    failed = failures(answer)
    sys.exit(75 if any(one["retryable"] for one in failed) else 1 if failed else 0)

#!/bin/sh
# Calls the API, signed with Signature Version 4:
#
#   API_URL=https://… sh examples/call.sh /api-secrets/5/enable '{"reason": "CHG0012345"}'
#
# Needs curl 7.76. Credentials come from the environment, where
# `eval "$(aws configure export-credentials --format env)"` puts those of a profile.
# curl reads them from its standard input: arguments are for every user to see.
set -eu

printf '%s\n' \
	"user = \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\"" \
	"${AWS_SESSION_TOKEN:+header = \"x-amz-security-token: $AWS_SESSION_TOKEN\"}" |
	curl --config - --silent --show-error --fail-with-body --max-time 30 \
		--aws-sigv4 "aws:amz:$AWS_REGION:execute-api" \
		--header 'Content-Type: application/json' --data "${2:-}" "$API_URL$1"

#!/bin/sh
# Builds AWS's own runtime interface emulator and has it judge the functions (test/rie).
# Only where its modules cannot be had is that skipped, loudly; with RIE=required it
# fails. What goes wrong always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
go=${GO:-go}
log=$root/.bin/rie.log

check='rie' undone="the functions were NOT judged by AWS's emulator of the runtime"
instead='make check-rie RIE=required' required=${RIE:-}
. "$root/tools/skip.sh"

cd "$root/tools/rie" || exit 1
"$go" mod download >"$log" 2>&1 || skip "its modules cannot be had"
"$go" build -o "$root/.bin/aws-lambda-rie" github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie || exit 1
cd "$root" && AWS_LAMBDA_RIE=$root/.bin/aws-lambda-rie exec "$go" test -count=1 ./test/rie

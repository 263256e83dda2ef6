#!/bin/sh
# Runs govulncheck over the functions and the local stack.
#
# It needs two things from outside that a machine may not reach: the program
# itself, and the vulnerability database. Only the lack of one of those is
# skipped, loudly; with VULN=required it fails. A finding always fails, and so
# does every other fault.
#
# It is not a tool of tools/go.mod: a module that cannot be had would keep the
# other tools from being built.
set -u

version=v1.9.0
go=${GO:-go}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
bin=$root/.bin
log=$bin/govulncheck.log

rm -f "$bin/skipped" # the list begins here
check='govulncheck' undone='known vulnerabilities were NOT looked for'
instead='make check-vuln VULN=required' required=${VULN:-}
. "$root/tools/skip.sh"

cd "$root" || exit 1

# GOVULNCHECK names a program that is there already.
if [ -z "${GOVULNCHECK:-}" ]; then
	GOVULNCHECK=$bin/govulncheck-$version
	if [ ! -x "$GOVULNCHECK" ]; then
		GOBIN=$bin "$go" install "golang.org/x/vuln/cmd/govulncheck@$version" >"$log" 2>&1 ||
			skip "govulncheck $version cannot be installed"
		mv "$bin/govulncheck" "$GOVULNCHECK" || exit 1
	fi
fi

# It ends with 0 for nothing found, 3 for a finding, anything else for a fault.
GOOS=linux "$GOVULNCHECK" -tags lambda.norpc ./... >"$log" 2>&1
status=$?
if [ "$status" -ne 0 ] && [ "$status" -ne 3 ] && grep -q 'fetching vulnerabilities' "$log"; then
	skip "the vulnerability database cannot be reached"
fi
cat "$log"
exit "$status"

#!/bin/sh
# Builds AWS's own runtime interface emulator and has it judge the functions (test/rie).
# Only where its modules cannot be had is that skipped, loudly; with RIE=required it
# fails. What goes wrong always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
go=${GO:-go}
skipped=$root/.bin/skipped

mkdir -p "$root/.bin" || exit 1
# Of the other checks' lines, none is touched.
if [ -f "$skipped" ]; then
	grep -v '^rie: ' "$skipped" >"$skipped.new"
	mv "$skipped.new" "$skipped" || exit 1
	[ -s "$skipped" ] || rm -f "$skipped"
fi

cd "$root/tools/rie" || exit 1
if ! said=$("$go" mod download 2>&1); then
	echo
	echo "!!! SKIPPED: the functions were NOT judged by AWS's emulator of the runtime: its modules cannot be had"
	echo "$said" | tail -n 5 | sed 's/^/!!!   /'
	echo "!!! Run 'make check-rie RIE=required' where they can be had."
	[ "${RIE:-}" = required ] && exit 1
	echo "rie: its modules cannot be had" >>"$skipped"
	exit 0
fi
"$go" build -o "$root/.bin/aws-lambda-rie" github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie || exit 1
cd "$root" && AWS_LAMBDA_RIE=$root/.bin/aws-lambda-rie exec "$go" test -count=1 ./test/rie

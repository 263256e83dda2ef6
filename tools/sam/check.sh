#!/bin/sh
# Runs the checks of template.yaml and openapi.yaml in the virtual environment:
# check.sh check.py, or any other program of this folder with its arguments.
#
# Only where the tools cannot be had is that skipped, loudly; with
# TEMPLATE=required it fails. A finding always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
skipped=$root/.bin/skipped

mkdir -p "$root/.bin" || exit 1
# Of the other checks' lines, none is touched.
if [ -f "$skipped" ]; then
	grep -v '^template: ' "$skipped" >"$skipped.new"
	mv "$skipped.new" "$skipped" || exit 1
	[ -s "$skipped" ] || rm -f "$skipped"
fi

reason=$(sh "$root/tools/sam/venv.sh" 2>&1 >&3) 3>&1
status=$?
if [ "$status" -eq 3 ]; then
	echo
	echo "!!! SKIPPED: template.yaml and openapi.yaml were NOT checked: $reason"
	tail -n 5 "$root/.bin/venv.log" | sed 's/^/!!!   /'
	echo "!!! Run 'make check-template TEMPLATE=required' where they can be had."
	if [ "${TEMPLATE:-}" = required ]; then
		echo "!!! TEMPLATE=required: this is a failure."
		exit 1
	fi
	echo "template: $reason" >>"$skipped"
	exit 0
elif [ "$status" -ne 0 ]; then
	echo "$reason"
	exit "$status"
fi

cd "$root/tools/sam" || exit 1
PYTHONDONTWRITEBYTECODE=1 exec "$root/.venv/bin/python" "$@"

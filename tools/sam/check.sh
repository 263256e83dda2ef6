#!/bin/sh
# Runs the checks of template.yaml and openapi.yaml in the virtual environment:
# check.sh check.py, or any other program of this folder with its arguments.
#
# Only where the tools cannot be had is that skipped, loudly; with
# TEMPLATE=required it fails. A finding always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
log=$root/.bin/venv.log

check='template' undone="template.yaml and openapi.yaml were NOT checked"
instead='make check-template TEMPLATE=required' required=${TEMPLATE:-}
. "$root/tools/skip.sh"

reason=$(sh "$root/tools/sam/venv.sh" 2>&1 >&3) 3>&1
status=$?
if [ "$status" -eq 3 ]; then
	skip "$reason"
elif [ "$status" -ne 0 ]; then
	echo "$reason"
	exit "$status"
fi

cd "$root/tools/sam" || exit 1
PYTHONDONTWRITEBYTECODE=1 exec "$root/.venv/bin/python" "$@"

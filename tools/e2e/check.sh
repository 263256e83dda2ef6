#!/bin/sh
# Deploys the template to an emulator of AWS that is not ours (MiniStack) and uses what
# comes of it. Only where the tools cannot be had is that skipped, loudly; with
# E2E=required it fails. What goes wrong always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1

mkdir -p "$root/.bin" || exit 1
reason=$(sh "$root/tools/sam/venv.sh" ministack 2>&1 >&3) 3>&1
status=$?
if [ "$status" -eq 3 ]; then
	echo
	echo "!!! SKIPPED: the template was NOT deployed to an emulator: $reason"
	tail -n 5 "$root/.bin/venv.log" | sed 's/^/!!!   /'
	echo "!!! Run 'make e2e E2E=required' where the tools can be had."
	[ "${E2E:-}" = required ] && exit 1
	exit 0
elif [ "$status" -ne 0 ]; then
	echo "$reason"
	exit "$status"
fi

PYTHONDONTWRITEBYTECODE=1 exec "$root/.venv/bin/python" "$root/tools/e2e/e2e.py" "$root/.venv/ministack/bin/python"

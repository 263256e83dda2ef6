#!/bin/sh
# Deploys the template to an emulator of AWS that is not ours (MiniStack), as the README
# says, and uses what comes of it. Only where the tools cannot be had is that skipped,
# loudly; with E2E=required it fails. What goes wrong always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1

check='e2e' undone="the template was NOT deployed to an emulator"
instead='make e2e E2E=required' required=${E2E:-}
. "$root/tools/skip.sh"

[ "$(uname -sm)" = 'Linux x86_64' ] || skip "its packages are pinned for Linux on x86_64"
"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || skip "Python 3.11 is not here (PYTHON=${PYTHON:-python3})"
for program in aws curl bash; do
	command -v "$program" >/dev/null || skip "$program is not here"
done
log=$root/.bin/venv.log
reason=$(sh "$root/tools/sam/venv.sh" ministack 2>&1 >&3) 3>&1
status=$?
if [ "$status" -eq 3 ]; then
	skip "$reason"
elif [ "$status" -ne 0 ]; then
	echo "$reason"
	exit "$status"
fi

PYTHONDONTWRITEBYTECODE=1 exec "$root/.venv/bin/python" "$root/tools/e2e/e2e.py" "$root/.venv/ministack/bin/python"

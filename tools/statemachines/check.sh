#!/bin/sh
# Runs the state machines of the folder statemachines in an interpreter that is not
# ours, moto's, through the same table of faults as make test does in our own.
#
# Only where it cannot be had is that skipped, loudly; with STATEMACHINES=required
# it fails. A difference always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
here=$root/tools/statemachines
venv=$root/.venv/statemachines
skipped=$root/.bin/skipped
log=$root/.bin/statemachines.log
python=${PYTHON:-python3}

mkdir -p "$root/.bin" || exit 1
: >"$log" || exit 1
# Of the other checks' lines, none is touched.
if [ -f "$skipped" ]; then
	grep -v '^state machines: ' "$skipped" >"$skipped.new"
	mv "$skipped.new" "$skipped" || exit 1
	[ -s "$skipped" ] || rm -f "$skipped"
fi

unavailable() {
	echo
	echo "!!! SKIPPED: the state machines were NOT run by another interpreter: $1"
	tail -n 5 "$log" | sed 's/^/!!!   /'
	echo "!!! Run 'make check-statemachines STATEMACHINES=required' where it can be had."
	[ "${STATEMACHINES:-}" = required ] && exit 1
	echo "state machines: $1" >>"$skipped"
	exit 0
}

if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
	[ "$(uname -sm)" = 'Linux x86_64' ] || unavailable "its packages are pinned for Linux on x86_64"
	"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' >>"$log" 2>&1 ||
		unavailable "Python 3.11, with venv, is not here (PYTHON=$python)"
	echo "Installing the interpreter into $venv; this takes a minute the first time."
	rm -f "$venv/installed.txt"
	"$python" -m venv "$venv" >>"$log" 2>&1 || unavailable "no virtual environment can be made in $venv"
	if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/requirements.txt" >>"$log" 2>&1; then
		if grep -qi 'do not match the hashes' "$log"; then
			cat "$log" >&2
			exit 1
		fi
		unavailable "the packages of requirements.txt cannot be installed"
	fi
	cp "$here/requirements.txt" "$venv/installed.txt" || exit 1
fi

cd "$root" || exit 1
STATEMACHINES_PYTHON=$venv/bin/python exec "${GO:-go}" test -count=1 -timeout 30m -run AnotherInterpreter ./simulated/statemachine

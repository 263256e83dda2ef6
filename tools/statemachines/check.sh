#!/bin/sh
# Checks the state machine of the folder statemachines with what is not ours: a
# validator (npm's asl-validator) and an emulator of AWS (MiniStack).
#
# Only what cannot be had is skipped, loudly; with STATEMACHINES=required it fails.
# A difference always fails.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
here=$root/tools/statemachines
log=$root/.bin/statemachines.log
python=${PYTHON:-python3}
npm=${NPM:-npm}
failed=0

check='state machines' instead='make check-statemachines STATEMACHINES=required' required=${STATEMACHINES:-}
. "$root/tools/skip.sh"
: >"$log" || exit 1

# $1: what was not done; $2: why. The other part is done all the same.
unavailable() {
	(undone=$1 && skip "$2") || failed=1
	return 1
}

# What was fetched and is not what is pinned is a failure, not a lack.
tampered() {
	grep -qiE 'do not match the hashes|EINTEGRITY' "$log" || return 1
	cat "$log" >&2
	exit 1
}

# $1: the environment's folder in .venv; $2: file with its pinned packages; $3: what it is for
environment() {
	venv=$root/.venv/$1
	cmp -s "$here/$2" "$venv/installed.txt" && return
	[ "$(uname -sm)" = 'Linux x86_64' ] || { unavailable "$3" "its packages are pinned for Linux on x86_64"; return; }
	"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' >>"$log" 2>&1 ||
		{ unavailable "$3" "Python 3.11, with venv, is not here (PYTHON=$python)"; return; }
	echo "Installing the packages of $2 into $venv; this takes a minute the first time."
	rm -f "$venv/installed.txt"
	"$python" -m venv "$venv" >>"$log" 2>&1 || { unavailable "$3" "no virtual environment can be made in $venv"; return; }
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/$2" >>"$log" 2>&1 ||
		tampered || { unavailable "$3" "the packages of $2 cannot be installed"; return; }
	cp "$here/$2" "$venv/installed.txt" || exit 1
}

validator() {
	modules=$root/.venv/npm
	cmp -s "$here/package-lock.json" "$modules/installed.json" && return
	command -v "$npm" >/dev/null 2>&1 || { unavailable "$1" "npm is not here (NPM=$npm)"; return; }
	mkdir -p "$modules" && cp "$here/package.json" "$here/package-lock.json" "$modules" || exit 1
	(cd "$modules" && "$npm" ci --ignore-scripts --no-audit --no-fund) >>"$log" 2>&1 ||
		tampered || { unavailable "$1" "the packages of package-lock.json cannot be installed"; return; }
	cp "$here/package-lock.json" "$modules/installed.json" || exit 1
}

cd "$root" || exit 1
if validator "bulk.asl.json and examples/step-functions.asl.json were NOT validated"; then
	sed -e 's/${Partition}/aws/g' -e 's/${EventFunctionArn}/arn:aws:lambda:eu-west-1:123456789012:function:event/g' statemachines/bulk.asl.json >.bin/bulk.asl.json
	for machine in .bin/bulk.asl.json examples/step-functions.asl.json; do
		"$modules/node_modules/.bin/asl-validator" --json-path "$machine" || failed=1
	done
fi
if environment ministack requirements-ministack.txt "the bulk machine was NOT run by an emulator"; then
	sed -e 's/"""//' -e '/^$/,$!d' -e '/^import/,$d' "$here/emulator.py"
	MINISTACK_PYTHON=$venv/bin/python "${GO:-go}" test -count=1 -timeout 10m ./test/bulk || failed=1
fi
exit $failed

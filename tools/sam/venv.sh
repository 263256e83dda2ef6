#!/bin/sh
# Makes the virtual environment .venv with the pinned tools, or brings it up to
# date: the SAM CLI and cfn-lint in .venv, checkov in .venv/checkov, since the two
# ask for different versions of the AWS SDK; `venv.sh sam` leaves the latter out, and
# `venv.sh ministack` has MiniStack in its place, in .venv/ministack.
# Ends with 3 where the tools cannot be had, and with 1 where what was fetched is
# not what is pinned.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
here=$root/tools/sam
venv=$root/.venv
log=$root/.bin/venv.log
python=${PYTHON:-python3}

mkdir -p "$root/.bin" || exit 1
: >"$log" || exit 1

unavailable() {
	echo "$1" >&2
	exit 3
}

# $1: folder of the environment; $2: file with the pinned packages
install() {
	cmp -s "$2" "$1/installed.txt" && return
	"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >>"$log" 2>&1 ||
		unavailable "Python 3.11 or newer, with venv, is not here (PYTHON=$python)"
	echo "Installing the tools of $(basename "$2") into $1; this takes minutes the first time."
	rm -f "$1/installed.txt"
	"$python" -m venv "$1" >>"$log" 2>&1 || unavailable "no virtual environment can be made in $1"
	if ! "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$2" >>"$log" 2>&1; then
		if grep -qi 'do not match the hashes' "$log"; then
			cat "$log" >&2
			echo "a package is not the one that $(basename "$2") pins" >&2
			exit 1
		fi
		unavailable "the packages of $(basename "$2") cannot be installed"
	fi
	cp "$2" "$1/installed.txt" || exit 1
}

install "$venv" "$here/requirements.txt"
case ${1:-} in
sam) ;;
ministack) install "$venv/ministack" "$root/tools/statemachines/requirements-ministack.txt" ;;
*) install "$venv/checkov" "$here/requirements-checkov.txt" ;;
esac

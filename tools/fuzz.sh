#!/bin/sh
# Fuzzes every target whose name begins with $1, for $2 each, one after the other.
set -eu

go=${GO:-go}
for package in $("$go" list ./...); do
	for target in $("$go" test -list "^$1" "$package" | grep '^Fuzz'); do
		printf '\n==> %s %s\n' "$package" "$target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$2" "$package"
	done
done

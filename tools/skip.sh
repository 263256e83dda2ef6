# For the checks that are skipped, loudly, where their tools cannot be had: sourced with
# root, and of the check its name, what was not done, and the command that fails
# instead, which gives required; log is a file, if there is one. .bin/skipped has a line
# for each that was skipped.
skipped=$root/.bin/skipped

mkdir -p "$root/.bin" || exit 1
# Of the other checks' lines, none is touched.
if [ -f "$skipped" ]; then
	grep -v "^$check: " "$skipped" >"$skipped.new"
	mv "$skipped.new" "$skipped" || exit 1
	[ -s "$skipped" ] || rm -f "$skipped"
fi

# $1: why
skip() {
	echo
	echo "!!! SKIPPED: $undone: $1"
	[ -s "${log:-}" ] && tail -n 5 "$log" | sed 's/^/!!!   /'
	echo "!!! Run '$instead' where the tools can be had."
	[ "$required" = required ] && exit 1
	echo "$check: $undone: $1" >>"$skipped"
	exit 0
}

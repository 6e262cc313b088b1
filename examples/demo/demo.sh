#!/usr/bin/env bash
# What `make demo` shows: a program is compiled confined, runs confined, and is refused what nobody granted.
# Needs `capwrap` in PATH. Leaves nothing but examples/demo/build.
set -euo pipefail
cd "$(dirname "$0")"

cc=${CC:-cc}
secret=/etc/shadow # exists everywhere, and no profile grants it

step() {
	printf '\n\033[1m%s\033[0m\n' "$1"
}

show() {
	printf '$ %s\n' "$*"
	"$@"
}

mkdir -p build
objects=()
step '1. A compiler, in capability mode: it sees the workspace and the system, and no $HOME.'
for source in main words reader; do
	show capwrap run -- "$cc" -std=gnu11 -O2 -Wall -Wextra -c "$source.c" -o "build/$source.o"
	objects+=("build/$source.o")
done
show capwrap run -- "$cc" "${objects[@]}" -o build/words

step '2. What it made, in capability mode: it reads its own sources.'
show capwrap run -- build/words -n 5 main.c words.c reader.c

step '3. The same program goes where nobody sent it: refused, and explained.'
status=0
show capwrap run --fail-on-violation -- \
	build/words -n 3 "--telemetry=$secret" main.c 2>build/stderr || status=$?
cat build/stderr
printf '(exit status %s: the program ended well, but a call was refused)\n' "$status"

if [ "$status" -ne 120 ] || ! grep -qF "no telemetry today: $secret" build/stderr ||
	! grep -qF -- "--ro $secret" build/stderr; then
	echo 'demo: that was not refused as it should have been' >&2
	exit 1
fi

#!/bin/sh
# Runs scripts of SQLite's own tests, each in a directory of its own:
#
#     sqlite.sh TREE SCRIPT...      prints `SCRIPT TEST: passed`, `omitted` or `failed` for each test of each script,
#                                   and `SCRIPT ended: STATUS`. testfixture was built at the top of TREE.
set -u
tree=$1
shift
for script; do
	mkdir "in-$script"
	(cd "in-$script" && "$tree/testfixture" "$tree/test/$script.test" </dev/null; echo "ended: $?") >"$script.out" 2>&1
	# In front of a test's name there may be dots, one for each time that something was waited for.
	sed -nE "s/^\.+//; s/^(.*)\.\.\. Ok\$/$script \1: passed/p
		s/^(.*)\.\.\. Omitted\$/$script \1: omitted/p
		s/^! (.*) expected: .*/$script \1: failed/p
		s/^ended: (.*)/$script ended: \1/p" "$script.out"
done

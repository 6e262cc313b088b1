#!/bin/sh
# Runs scripts of git's own tests against the installed git. In git's top directory, where t/helper/test-tool was built:
#
#     git.sh SCRIPT...      prints `SCRIPT NUMBER: passed`, `failed` or `skipped: why` for each test of each script
set -u
export GIT_TEST_INSTALLED=/usr/bin GIT_TEST_DEFAULT_HASH=sha1
cd t || exit 1
for script; do
	sh "./$script.sh" --no-color >"$script.out" 2>"$script.err" </dev/null
	sed -nE "s/^ok ([0-9]+) # skip (.*)/$script \1: skipped: \2/p; t
		s/^ok ([0-9]+) .*/$script \1: passed/p
		s/^not ok ([0-9]+) .*/$script \1: failed/p
		s/^1\.\.0 # SKIP (.*)/$script: skipped: \1/p" "$script.out"
done

#!/bin/sh
# Runs scripts of a GNU package's own tests against the installed programs, without building anything: what
# tests/local.mk puts into the environment, put there by hand. In the package's top directory:
#
#     gnu.sh SCRIPT...      prints `SCRIPT: passed`, `skipped: why`, `failed` or `error` for each, in the order given
set -u
export LC_ALL=C LANGUAGE=C TMPDIR=/tmp
export VERSION=installed PACKAGE_VERSION=installed LOCALE_FR=none LOCALE_FR_UTF8=none
export abs_top_builddir="$PWD" abs_top_srcdir="$PWD" abs_srcdir="$PWD" srcdir=. top_srcdir=.
export fail=0 host_os=linux-gnu host_triplet=x86_64-pc-linux-gnu CONFIG_HEADER="$PWD/config.h"
export CC=cc AWK=awk EGREP='grep -E' EXEEXT= MAKE=make PERL=perl SHELL=/bin/sh
built_programs='basename cat chgrp chmod chown cp cut date dd dirname du env find ginstall head id ln ls mkdir mkfifo mknod mktemp mv
od printf pwd readlink realpath rm rmdir seq sort stat sync tail tee test touch tr truncate uniq wc xargs'
export built_programs
umask 022
mkdir -p src results
touch config.h
ln -sf /usr/bin/install src/ginstall

one() {
	log=results/$(echo "$1" | tr / -)
	export CU_TEST_NAME="installed,$(echo "$1" | tr / -)"
	case $1 in
	*.pl) set -- "$1" perl -w -Itests -MCuSkip -MCoreutils -M"CuTmpdir qw($1)" ;;
	*) set -- "$1" bash ;;
	esac
	test=$1
	shift
	"$@" "$test" >"$log" 2>&1 9>&2 </dev/null
	case $? in
	0) how=passed ;;
	77) how="skipped: $(sed -nE 's/.*(skipped test|skipping test|skip_): *//p' "$log" | head -n 1)" ;;
	99) how=error ;;
	*) how=failed ;;
	esac
	echo "$test: $how" >"$log.ended"
}

# Two at a time, as many as most machines do at once; each writes its end to a file of its own.
for script; do
	one "$script" &
	if [ -n "${before:-}" ]; then
		wait "$before"
	fi
	before=$!
done
wait
for script; do
	cat "results/$(echo "$script" | tr / -).ended"
done

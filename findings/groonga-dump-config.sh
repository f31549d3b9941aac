#!/usr/bin/env bash
# dump writes what makes the same database when it is loaded: that is how Groonga's manual has
# databases copied. The value of a setting that has a blank in it is dumped without quotes, so
# that loading the dump sets its first word alone, without a word of warning.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
program=$(command -v groonga || :)
version=13.0.0+dfsg-3~deb12u1
if [ -z "$program" ]; then # Debian 12's package, unpacked here
	apt-get download -q "groonga-bin=$version" "libgroonga0=$version" >/dev/null
	for p in ./*.deb; do dpkg -x "$p" unpacked; done
	program=$work/unpacked/usr/bin/groonga
	export LD_LIBRARY_PATH=$work/unpacked/usr/lib/$(uname -m)-linux-gnu
fi
"$program" --version | head -n 1
mkdir one two
echo 'config_set --key words --value "one two"' | "$program" -n one/db >/dev/null
set_to=$("$program" one/db config_get words)
"$program" one/db dump >dump
"$program" -n two/db <dump >/dev/null
comes_back=$("$program" two/db config_get words)
echo "set to:     ${set_to##*],}"
echo "dumped as:  $(cat dump)"
echo "comes back: ${comes_back##*],}"
[[ $set_to == *'"one two"]' && $comes_back == *'"one"]' ]] && echo 'as found'

#!/usr/bin/env bash
# A page that uses JSONP gives `callback=NAME` and expects NAME(document); from every
# command. Groonga wraps the answer to a load whose records are in the argument `values`,
# and does not wrap it, without a word, if they are the body of the request: the type is
# then application/json, and a browser runs nothing.
set -euo pipefail
work=$(mktemp -d)
trap '[ -z "${pid-}" ] || kill "$pid" 2>/dev/null || :; rm -rf "$work"' EXIT
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
mkdir db
port=$((20000 + RANDOM % 10000))
"$program" -s --protocol http --bind-address 127.0.0.1 -p "$port" --log-path log --query-log-path '' -n db/db &
pid=$!
url=http://127.0.0.1:$port/d
for _ in $(seq 100); do curl -sf "$url/status" >/dev/null && break; sleep 0.1; done
curl -sf "$url/table_create?name=T&flags=TABLE_HASH_KEY&key_type=ShortText" >/dev/null
records='[{"_key":"a"}]'
by_argument=$(curl -sfG -w ' %{content_type}' --data-urlencode "values=$records" "$url/load?table=T&callback=cb")
by_body=$(curl -sf -w ' %{content_type}' -H 'Content-Type: application/json' --data-binary "$records" "$url/load?table=T&callback=cb")
echo "in the argument: $by_argument"
echo "in the body:     $by_body"
[[ $by_argument == 'cb(['*']); application/javascript' && $by_body == '[['*'] application/json' ]] && echo 'as found'

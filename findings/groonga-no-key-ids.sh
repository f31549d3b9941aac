#!/usr/bin/env bash
# In a table without keys and without values, Groonga keeps the ids of deleted records in order to
# give them again. Whatever reads the records over such a gap, a search without a condition for
# one, notes these ids a second time: two records then get one id, and the first is gone, although
# both loads were answered as successes. A table with a value type has no such fault.
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
ids() { # of two records that are loaded after two were deleted and, perhaps, others were read
	rm -f db*
	"$program" -n db <<-COMMANDS | grep -o '"loaded_ids":[^}]*' | tail -n 1
		table_create T TABLE_NO_KEY $1
		column_create T v COLUMN_SCALAR ShortText
		load --table T
		[{"v":"a"},{"v":"b"},{"v":"c"},{"v":"d"},{"v":"e"},{"v":"f"}]
		delete T --id 5
		delete T --id 2
		$2
		load --table T --output_ids yes --command_version 3
		[{"v":"new1"},{"v":"new2"}]
	COMMANDS
}
unread=$(ids '' 'status')
read=$(ids '' 'select T')
value=$(ids '--value_type UInt32' 'select T')
echo "nothing was read:         $unread"
echo "a search came between:    $read"
echo "the same, with a value:   $value"
[[ $unread == '"loaded_ids":[2,5]' && $read == '"loaded_ids":[5,5]' && $value == '"loaded_ids":[2,5]' ]] && echo 'as found'

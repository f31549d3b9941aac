#!/usr/bin/env bash
# Run by check.sh in the copy of the root, in namespaces of its own.
set -euo pipefail
cd /tmp/packages
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
fail() { echo "packages: $*" >&2; exit 1; }
quietly() { "$@" >/tmp/log 2>&1 || { cat /tmp/log >&2; fail "failed: $*"; }; }
serf_sum() { sha256sum "$(readlink -f /usr/bin/serf)"; }

# named: what has our name. The machine may have some of it, such as an image.
named() { find /etc /usr /lib/systemd /var -xdev -iname '*ibuki*' -print | sort; }
cp /etc/passwd /etc/group /tmp/
named >/tmp/named
before=$(serf_sum)

# 1. Beside Debian's serf, which stays as it is.
quietly dpkg -i ibuki_*_amd64.deb
grep -q 'systemctl enable --now ibuki-agent' /tmp/log || fail "the installation does not say what is next"
[ "$(serf_sum)" = "$before" ] || fail "the package changed Debian's serf"
[ "$(readlink /usr/bin/droonga-handle-serf-event)" = ibuki ] || fail "no droonga-handle-serf-event"
/usr/lib/ibuki/bin/serf version | grep ibuki >/dev/null || fail "the private serf is not ibuki"
ibuki version | grep '^ibuki ' >/dev/null || fail "ibuki does not run"
[ "$(stat -c '%U:%G %a' /etc/ibuki/agent.d/10-package.json)" = "root:ibuki 640" ] || fail "the configuration's owner"
[ "$(stat -c '%U:%G %a' /var/lib/ibuki)" = "ibuki:ibuki 750" ] || fail "the state's owner"
for page in ibuki ibuki-agent ibuki-catalog; do [ -s "/usr/share/man/man1/$page.1.gz" ] || fail "no manual page $page"; done
# Each page that a page of the package links to is in the package.
(
	cd /usr/share/doc/ibuki
	find . -name '*.md' | while read -r page; do
		{ grep -o '](\([^)#: ]*\)[)#]' "$page" || true; } | sed 's/^](//; s/.$//' | while read -r link; do
			[ -z "$link" ] || [ -e "${page%/*}/$link" ] || [ -e "${page%/*}/$link.gz" ] || echo "$page: $link"
		done
	done
) >/tmp/dead
[ ! -s /tmp/dead ] || { cat /tmp/dead >&2; fail "links of pages lead nowhere"; }
systemd-analyze verify --man=no /lib/systemd/system/ibuki-agent.service /lib/systemd/system/ibuki-gateway.service 2>/tmp/log || true
! grep ibuki /tmp/log || fail "a unit is not right"

# setting UNIT KEY: a setting of the unit.
setting() { sed -n "s/^$2=//p" "/lib/systemd/system/$1.service"; }

# start UNIT: runs its ExecStart as systemd would, and waits until it is ready.
declare -A pids
start() {
	local unit=$1 dir line OPTIONS=
	for dir in $(setting "$unit" StateDirectory); do
		install -d -o ibuki -g ibuki -m "$(setting "$unit" StateDirectoryMode)" "/var/lib/$dir"
	done
	line=$(setting "$unit" EnvironmentFile)
	# shellcheck disable=SC1090
	. "${line#-}"
	rm -f "/tmp/$unit.socket"
	socat -u "UNIX-RECV:/tmp/$unit.socket,mode=777" "OPEN:/tmp/$unit.told,creat,append" &
	while [ ! -S "/tmp/$unit.socket" ]; do sleep 0.01; done
	line=$(setting "$unit" ExecStart)
	# shellcheck disable=SC2086
	NOTIFY_SOCKET=/tmp/$unit.socket WATCHDOG_USEC=1000000 \
		setpriv --reuid "$(setting "$unit" User)" --regid "$(setting "$unit" Group)" --init-groups --no-new-privs \
		${line/\$OPTIONS/$OPTIONS} >"/tmp/$unit.log" 2>&1 &
	pids[$unit]=$!
	told "$unit" READY=1
	told "$unit" WATCHDOG=1
}

# told UNIT WORD: waits until the service has told that.
told() {
	local i
	for i in $(seq 1000); do
		! grep -q "$2" "/tmp/$1.told" 2>/dev/null || return 0
		kill -0 "${pids[$1]}" 2>/dev/null || [ "$2" = STOPPING=1 ] || break
		sleep 0.02
	done
	cat "/tmp/$1.log" >&2
	fail "$1 did not tell $2"
}

# stop UNIT: with its own signal, and it has to end well.
stop() {
	local signal
	signal=$(setting "$1" KillSignal)
	kill -s "${signal:-SIGTERM}" "${pids[$1]}"
	wait "${pids[$1]}" || { cat "/tmp/$1.log" >&2; fail "$1 ended with $?"; }
	told "$1" STOPPING=1
}

# 2. Both units run, with the configuration of the package.
echo 'OPTIONS="-node=127.0.0.1 -bind=127.0.0.1"' >/etc/ibuki/agent.env
echo 'OPTIONS="-http=127.0.0.1:10040"' >/etc/ibuki/gateway.env
start ibuki-agent
ibuki members | grep '^127.0.0.1  *127.0.0.1:7946  *alive' >/dev/null || fail "the agent does not answer"
ibuki catalog generate -hosts=127.0.0.1 >/etc/ibuki/catalog.json
start ibuki-gateway
# get PORT PATH: what is served there.
get() {
	exec 3<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
	cat <&3
	exec 3>&-
}
status=$(get 10040 /status)
case $status in *'"loaded": true'*) ;; *) fail "the gateway has no live-node list: $status" ;; esac
get 7374 / | grep -q '<title>' || fail "the dashboard is not served"
stop ibuki-gateway
stop ibuki-agent
[ -s /var/lib/ibuki/agent.snapshot ] && [ -s /var/lib/ibuki/live-nodes.json ] || fail "the agent kept nothing"

# 3. In the place of Debian's serf.
quietly dpkg -i ibuki-serf_*_all.deb
[ "$(readlink /usr/bin/serf)" = ibuki ] || fail "serf is not ours"
status=$(dpkg-query -W -f '${db:Status-Status}' serf 2>/dev/null || true)
[ "$status" != installed ] || { cat /tmp/log >&2; fail "two packages have a serf"; }
serf version | grep ibuki >/dev/null || fail "serf does not run"

# 4. Removed, the configuration stays; purged, nothing does.
quietly dpkg -r ibuki-serf ibuki
[ -s /etc/ibuki/agent.env ] && [ ! -e /usr/bin/ibuki ] || fail "what a removal leaves"
quietly dpkg -P ibuki-serf ibuki
left=$(named | comm -13 /tmp/named -)
[ -z "$left" ] || fail "a purge left: $left"
! grep -q '^ibuki:' /etc/passwd /etc/group || fail "a purge left the user"
cmp -s /etc/passwd /tmp/passwd && cmp -s /etc/group /tmp/group || fail "a purge left traces in passwd or group"

# 5. The rpm, in a root of its own.
mkdir /tmp/rpmroot
quietly rpm --root /tmp/rpmroot -i --nodeps --noscripts ibuki-[0-9]*.rpm ibuki-serf-*.rpm
/tmp/rpmroot/usr/bin/serf version | grep ibuki >/dev/null || fail "the rpm's serf does not run"
[ -s /tmp/rpmroot/usr/lib/systemd/system/ibuki-agent.service ] || fail "the rpm has no unit"
[ "$(rpm -qp --scripts ibuki-[0-9]*.rpm | grep -c scriptlet)" = 3 ] || fail "the rpm's scripts"
quietly rpm --root /tmp/rpmroot -e --nodeps --noscripts ibuki ibuki-serf
left=$(find /tmp/rpmroot \( -type f -o -type l \) -not -path '*/rpm/*' -iname '*ibuki*')
[ -z "$left" ] || fail "erasing the rpm left: $left"

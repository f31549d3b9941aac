#!/usr/bin/env bash
# check.sh OUTDIR: builds the packages into OUTDIR, twice, and installs, starts,
# replaces and purges them, on a copy of this machine's root that is thrown away
# (an overlay, in namespaces of its own). The units are started by hand as systemd
# would, with a socket in its place. Wants root, unshare, overlayfs, socat, rpm and
# Debian's serf; what is missing is named and, outside of CI, skipped.
set -euo pipefail
out=${1:?usage: check.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)

missing=
[ "$(id -u)" = 0 ] || missing+=" root"
for part in unshare socat rpm dpkg setpriv systemd-analyze ip; do
	command -v "$part" >/dev/null || missing+=" $part"
done
dpkg -s serf >/dev/null 2>&1 || missing+=" Debian's-serf"
if [ -n "$missing" ]; then
	echo "skip: the packages are not tested, for want of:$missing" >&2
	[ -z "${CI:-}" ] && exit 0 || exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f "$out"/*.deb "$out"/*.rpm
"$here/build.sh" "$out" amd64
"$here/build.sh" "$work/again" amd64 >/dev/null
for file in "$work/again"/*; do
	cmp "$file" "$out/${file##*/}" || { echo "not reproducible: ${file##*/}" >&2; exit 1; }
done

# Inside, the layer with all that changes is a tmpfs, which ends with the namespace.
export OUT HERE=$here
OUT=$(cd "$out" && pwd)
mkdir "$work/mnt"
export MNT=$work/mnt
unshare --mount --net --pid --fork --kill-child bash -euo pipefail -c '
	ip link set lo up
	mount -t tmpfs tmpfs "$MNT"
	mkdir "$MNT/upper" "$MNT/work" "$MNT/tree"
	mount -t overlay overlay -o lowerdir=/,upperdir="$MNT/upper",workdir="$MNT/work" "$MNT/tree"
	mount -t proc proc "$MNT/tree/proc"
	mount -t tmpfs tmpfs "$MNT/tree/tmp"
	mkdir "$MNT/tree/tmp/packages"
	cp "$OUT"/*.deb "$OUT"/*.rpm "$HERE/check-inside.sh" "$MNT/tree/tmp/packages/"
	[ -e "$MNT/tree/dev/null" ] || mount --rbind /dev "$MNT/tree/dev"
	chroot "$MNT/tree" bash /tmp/packages/check-inside.sh
'
echo "packages: built alike twice; installed, started, replaced and purged"

#!/usr/bin/env bash
# check.sh OUTDIR [OS/ARCH...]: builds release archives into OUTDIR (of all targets,
# or of these and linux/amd64), then one of them again
# from a copy of the sources in another folder, which must give the same bytes; and
# looks whether what is in it runs, by itself and with nothing around it.
set -euo pipefail
out=${1:?usage: check.sh OUTDIR [OS/ARCH...]}
shift
[ $# = 0 ] || case " $* " in *" linux/amd64 "*) ;; *) set -- linux/amd64 "$@" ;; esac
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

dist/build.sh "$out" "$@"
(cd "$out" && sha256sum --quiet -c SHA256SUMS)

export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
git ls-files -z | xargs -0 cp --parents -t "$(mkdir "$work/elsewhere" && echo "$work/elsewhere")"
NO_SBOM=1 "$work/elsewhere/dist/build.sh" "$work/again" linux/amd64
for again in "$work"/again/*.tar.gz; do
	cmp "$again" "$out/${again##*/}" || { echo "not reproducible: ${again##*/}" >&2; exit 1; }
	tar -C "$work" -xzf "$again"
done

cd "$work"/ibuki_*_linux_amd64
./ibuki version
./serf version | grep '^0\.10\.' >/dev/null # not -q: it would end before the program has said all
if [ "$(id -u)" = 0 ]; then chroot . /ibuki version >/dev/null; fi
# The list of parts has what is linked, and nothing that only tests need.
grep -q 'pkg:golang/github.com/hashicorp/go-msgpack' "$out"/*_sbom.cdx.json
for part in chromedp cdproto datadriven goleak pgregory.net/rapid; do
	if grep -q "pkg:golang/.*$part" "$out"/*_sbom.cdx.json; then echo "the SBOM lists $part, which only tests need" >&2; exit 1; fi
done
echo "release archives: $(ls "$out" | wc -l) files, linux/amd64 is the same when built again"

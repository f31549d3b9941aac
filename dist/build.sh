#!/usr/bin/env bash
# build.sh OUTDIR [OS/ARCH...]: release archives, a list of parts (SBOM, CycloneDX)
# and checksums. Without a target, all of them are built.
#
# The same commit makes the same bytes, on any machine and in any folder: nothing
# of the build's place, time or owner gets in. Wants Go, GNU tar, gzip and zip.
set -euo pipefail
out=${1:?usage: build.sh OUTDIR [OS/ARCH...]}
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(linux/amd64 linux/arm64 darwin/arm64 windows/amd64 freebsd/amd64)
version=${VERSION:-$(sed -n 's/^var version = "\(.*\)"$/\1/p' cmd/ibuki/version.go)}
# The time of everything in the archives: the commit's.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export CGO_ENABLED=0 TZ=UTC LC_ALL=C
umask 022
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The program as it runs here writes its own manual and completions.
host=$work/host
go build -trimpath -buildvcs=false -o "$host" ./cmd/ibuki
mkdir -p "$work/texts/man" "$work/texts/completions"
"$host" man -dir "$work/texts/man"
for shell in bash zsh fish; do "$host" completion "$shell" >"$work/texts/completions/ibuki.$shell"; done
cp README.md LICENSE CHANGELOG.md dist/START.txt "$work/texts/"
cp -R dist/openrc "$work/texts/"

# build OS ARCH: one archive, with the links that the program answers to.
build() {
	local os=$1 arch=$2 name ext=
	name=ibuki_${version}_${os}_${arch}
	[ "$os" = windows ] && ext=.exe
	mkdir "$work/$name"
	cp -R "$work/texts/." "$work/$name/"
	GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version" \
		-o "$work/$name/ibuki$ext" ./cmd/ibuki
	if [ "$os" = windows ]; then
		find "$work/$name" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
		rm -f "$out/$name.zip"
		(cd "$work" && find "$name" -type f | sort | zip -q -X -@ "$out/$name.zip")
	else
		ln -s ibuki "$work/$name/serf"
		ln -s ibuki "$work/$name/droonga-handle-serf-event"
		tar -C "$work" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
			-cf - "$name" | gzip -n -9 >"$out/$name.tar.gz"
	fi
	echo "$name"
}

for target in "${targets[@]}"; do build "${target%/*}" "${target#*/}"; done

if [ -z "${NO_SBOM:-}" ]; then
	go run "$sbom" bin -json -noserial -notimestamp -std -version "$version" -output "$out/ibuki_${version}_sbom.cdx.json" "$host" 2>"$work/sbom.log" ||
		{ cat "$work/sbom.log" >&2; exit 1; }
fi
(cd "$out" && rm -f SHA256SUMS && sha256sum ibuki_"${version}"_* >"$work/sums" && cp "$work/sums" SHA256SUMS)

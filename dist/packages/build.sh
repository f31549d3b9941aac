#!/usr/bin/env bash
# build.sh OUTDIR [ARCH...]: .deb and .rpm of ibuki and of ibuki-serf, by default for
# amd64 and arm64. The same commit makes the same bytes.
set -euo pipefail
out=${1:?usage: build.sh OUTDIR [ARCH...]}
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/../.."

arches=("$@")
[ ${#arches[@]} -gt 0 ] || arches=(amd64 arm64)
# Not the newest: that one has a part which the module proxy does not serve.
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
export VERSION=${VERSION:-$(sed -n 's/^var version = "\(.*\)"$/\1/p' cmd/ibuki/version.go)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export CGO_ENABLED=0 TZ=UTC LC_ALL=C
MTIME=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
export MTIME
umask 022

STAGE=$(mktemp -d)
export STAGE
trap 'rm -rf "$STAGE"' EXIT

# The program as it runs here writes its own manual and completions.
go build -trimpath -buildvcs=false -o "$STAGE/host" ./cmd/ibuki
mkdir -p "$STAGE/man" "$STAGE/completions" "$STAGE/doc/examples" "$STAGE/serf-doc"
"$STAGE/host" man -dir "$STAGE/man"
gzip -n -9 "$STAGE"/man/*
for shell in bash zsh fish; do "$STAGE/host" completion "$shell" >"$STAGE/completions/ibuki.$shell"; done
cp dist/packages/copyright README.md README.ja.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md LICENSE "$STAGE/doc/"
mkdir -p "$STAGE/doc/dist" "$STAGE/doc/sim/testdata" "$STAGE/doc/agent"
cp -R docs findings "$STAGE/doc/" # where the links of the pages lead
cp sim/testdata/join.txt sim/testdata/refute.txt "$STAGE/doc/sim/testdata/"
cp agent/example_test.go "$STAGE/doc/agent/"
cp -R dist/prometheus dist/grafana dist/openrc dist/compose.yaml dist/Dockerfile "$STAGE/doc/dist/"
cp dist/packages/copyright "$STAGE/serf-doc/"
gzip -n -9 -c CHANGELOG.md >"$STAGE/doc/changelog.gz"
cp -R contrib/ansible contrib/chef "$STAGE/doc/examples/"
find "$STAGE" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +

# package FORMAT CONFIG: where files go is each family's own.
package() {
	case $1 in
	deb) export UNITS=/lib/systemd/system ZSH=/usr/share/zsh/vendor-completions ;;
	rpm) export UNITS=/usr/lib/systemd/system ZSH=/usr/share/zsh/site-functions ;;
	esac
	envsubst_files "$2" >"$STAGE/nfpm.yaml"
	"$STAGE/nfpm" package -f "$STAGE/nfpm.yaml" -p "$1" -t "$out/" >"$STAGE/nfpm.log" 2>&1 || { cat "$STAGE/nfpm.log" >&2; exit 1; }
}

# envsubst_files FILE: our variables, also where nfpm does not fill them in.
envsubst_files() {
	sed -e "s|\${STAGE}|$STAGE|g" -e "s|\${UNITS}|$UNITS|g" -e "s|\${ZSH}|$ZSH|g" -e "s|\${ARCH}|${ARCH:-all}|g" \
		-e "s|\${VERSION}|$VERSION|g" -e "s|\${MTIME}|$MTIME|g" "$1"
}

GOBIN=$STAGE/bin go install "$nfpm"
mv "$STAGE/bin/nfpm" "$STAGE/nfpm"
for ARCH in "${arches[@]}"; do
	export ARCH
	GOARCH=$ARCH go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION" -o "$STAGE/ibuki" ./cmd/ibuki
	touch -d "@$SOURCE_DATE_EPOCH" "$STAGE/ibuki"
	package deb dist/packages/ibuki.yaml
	package rpm dist/packages/ibuki.yaml
done
package deb dist/packages/ibuki-serf.yaml
package rpm dist/packages/ibuki-serf.yaml
ls "$out"

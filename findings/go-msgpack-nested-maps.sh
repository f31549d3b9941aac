#!/usr/bin/env bash
# A map whose values are structs with a map in them is expected to come back from msgpack
# as it was encoded. With hashicorp's go-msgpack the inner maps of all values come back as
# one map that holds the keys of all of them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod GOWORK=off

cat >main.go <<'GO'
package main

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

type room struct{ Guests map[string]int }

func main() {
	house := map[int]room{1: {map[string]int{"ada": 1}}, 2: {map[string]int{"bob": 2}}}
	h := &codec.MsgpackHandle{}
	h.Canonical = true
	var b []byte
	if err := codec.NewEncoderBytes(&b, h).Encode(house); err != nil {
		panic(err)
	}
	var back map[int]room
	if err := codec.NewDecoderBytes(b, h).Decode(&back); err != nil {
		panic(err)
	}
	fmt.Println("encoded:", house)
	fmt.Println("decoded:", back)
	fmt.Println("equal:", reflect.DeepEqual(house, back))
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/hashicorp/go-msgpack/v2@v2.1.5 >/dev/null 2>&1
go build -o run .

echo "github.com/hashicorp/go-msgpack/v2 $(go list -m -f '{{.Version}}' github.com/hashicorp/go-msgpack/v2), $(go version | cut -d' ' -f3)"
echo "expected: decoded is what was encoded"
echo "seen:"
seen=$(./run)
echo "$seen"
grep -q '^equal: false$' <<<"$seen" || { echo "changed: the value comes back as it was" >&2; exit 1; }

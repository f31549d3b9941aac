package rpc

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func longHistory(n int) History {
	h := History{From: "node0", Started: 1, Health: 2}
	for i := range n {
		h.Records = append(h.Records, HistoryRecord{At: int64(1e18) - int64(i)*7919, Kind: "accused", Node: "node1",
			From: fmt.Sprintf("node%d", i%97), Incarnation: uint32(i), Verdict: "silent"})
	}
	return h
}

// P260: what is packed is within the limit, is the newest part, and says if it is not all.
func TestHistoryFitsItsLimit(t *testing.T) {
	for _, n := range []int{0, 1, 20, 4096} {
		for _, limit := range []int{900, 1400, 20000} {
			h := longHistory(n)
			packed, err := h.Pack(limit)
			if err != nil || len(packed) > limit {
				t.Fatalf("%d records: %d bytes of %d, %v", n, len(packed), limit, err)
			}
			got, err := UnpackHistory(packed)
			if err != nil {
				t.Fatal(err)
			}
			if got.Cut != (len(got.Records) < n) || n > 20 && len(got.Records) < 5 {
				t.Errorf("%d records in %d bytes: %d arrive, cut %v", n, limit, len(got.Records), got.Cut)
			}
			if len(got.Records) > 0 && !reflect.DeepEqual(got.Records, h.Records[:len(got.Records)]) {
				t.Errorf("%d records in %d bytes: other ones arrive", n, limit)
			}
		}
	}
	h := longHistory(1)
	if _, err := h.Pack(10); err == nil {
		t.Error("ten bytes are enough for a history")
	}
}

// A small answer cannot become a large one.
func TestUnpackHistoryIsBounded(t *testing.T) {
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, flate.BestCompression)
	for range 64 {
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	if _, err := UnpackHistory(bomb.Bytes()); !errors.Is(err, errHistoryTooLong) {
		t.Errorf("64 MiB of zeros: %v", err)
	}
	for _, bad := range []string{"", "x", "\x00\x00\x00\x00"} {
		if _, err := UnpackHistory([]byte(bad)); err == nil {
			t.Errorf("%q is a history", bad)
		}
	}
}

func FuzzUnpackHistory(f *testing.F) {
	h := longHistory(3)
	packed, err := h.Pack(1000)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(t *testing.T, packed []byte) {
		h, err := UnpackHistory(packed)
		if err != nil {
			return
		}
		if _, err := h.Pack(maxHistory * 2); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

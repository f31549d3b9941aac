package groonga

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"
)

// TestMsgpackIsReadWithAllDigits: what is read is written again as it was.
func TestMsgpackIsReadWithAllDigits(t *testing.T) {
	for document, want := range map[string]string{
		"9900017fccffcd0100ce00010000cf0000000100000000e0d080":            `[0,1,127,255,256,65536,4294967296,-32,-128]`,
		"93d1ff7fd2ffff7fffd3ffffffff7fffffff":                            `[-129,-32769,-2147483649]`,
		"94c0c2c3a161":                                                    `[null,false,true,"a"]`,
		"93ca3dcccccdcb3fb999999999999acb4000000000000000":                `[0x1.99999ap-04,0.1,2.0]`,
		"82a16190a16281a16380":                                            `{"a":[],"b":{"c":{}}}`,
		"91cb" + hex.EncodeToString([]byte{0x7f, 0xf0, 0, 0, 0, 0, 0, 0}): `[+Inf]`,
		"91": ``, "91a3": ``, "c1": ``, "91a1ff": ``, "dd7fffffff": ``, "91d9": ``, "df7fffffff": ``,
	} {
		data, err := hex.DecodeString(document)
		if err != nil {
			t.Fatal(err)
		}
		got, err := msgpackDocument(data)
		if want == "" {
			if !errors.Is(err, errAnswer) {
				t.Errorf("%s: %s, %v", document, got, err)
			}
			continue
		}
		if string(got) != want {
			t.Errorf("%s: %s, %v, want %s", document, got, err, want)
		}
		var b bytes.Buffer
		valueOf(got, "").writeMsgpack(&b)
		if b.String() != string(data) {
			t.Errorf("%s is written %x", document, b.Bytes())
		}
	}
	if f := exactFloat(math.Nextafter(0.1, 1)); string(f) != "0.10000000000000002" {
		t.Error(string(f))
	}
}

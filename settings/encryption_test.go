package settings

import (
	"strings"
	"testing"
)

func TestOptionsOfEncryption(t *testing.T) {
	const key = `"encrypt_key": "AAAAAAAAAAAAAAAAAAAAAA=="`
	for _, tc := range []struct {
		json             string
		noIn, noOut      bool
		label, file      string
		warnings, faults string
	}{
		{json: `{}`},
		{json: `{` + key + `}`},
		{json: `{"encrypt_verify_incoming": true, "encrypt_verify_outgoing": true}`},
		{json: `{"encrypt_verify_incoming": false, "encrypt_verify_outgoing": false}`, noIn: true, noOut: true},
		{json: `{` + key + `, "encrypt_verify_incoming": false}`, noIn: true, warnings: "unencrypted messages are accepted"},
		{json: `{` + key + `, "encrypt_verify_outgoing": false}`, noOut: true, warnings: "messages are sent unencrypted"},
		{json: `{"keyring_file": "k.json", "cluster_label": "east"}`, file: "k.json", label: "east"},
		{json: `{"cluster_label": "` + strings.Repeat("x", 256) + `"}`, label: strings.Repeat("x", 256), faults: "label is longer than 255 bytes"},
	} {
		o, err := Decode(strings.NewReader(tc.json))
		if err != nil {
			t.Fatal(err)
		}
		o.NodeName = "a"
		c, warnings, err := Options{}.Merge(o).Config()
		if (err == nil) != (tc.faults == "") || err != nil && !strings.Contains(err.Error(), tc.faults) {
			t.Errorf("%s: %v, want %q", tc.json, err, tc.faults)
		}
		if c.NoVerifyIncoming != tc.noIn || c.NoVerifyOutgoing != tc.noOut || c.Label != tc.label || c.KeyringFile != tc.file {
			t.Errorf("%s: %+v", tc.json, c)
		}
		if all := strings.Join(warnings, "\n"); !strings.Contains(all, tc.warnings) || (all == "") != (tc.warnings == "") {
			t.Errorf("%s: warnings %q, want %q", tc.json, all, tc.warnings)
		}
	}
	// What counts more may turn a switch on again.
	on, off := true, false
	both := Options{VerifyIncoming: &off, VerifyOutgoing: &off}.Merge(Options{VerifyIncoming: &on})
	if !*both.VerifyIncoming || *both.VerifyOutgoing {
		t.Error("flags do not win over files")
	}
}

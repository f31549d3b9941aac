package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
)

func TestVerbs(t *testing.T) {
	for words, want := range map[string]string{
		"": "nothing", "read": "read", "event query": "event, query", "read event query": "read, event, query",
		"admin": "admin", "admin read": "admin",
	} {
		v, err := ParseVerbs(strings.Fields(words))
		if err != nil || v.String() != want {
			t.Errorf("%q: %v, %v", words, v, err)
		}
	}
	if _, err := ParseVerbs([]string{"read", "write"}); err == nil || !strings.Contains(err.Error(), "'write'") {
		t.Error(err)
	}
	for _, v := range []Verbs{Read, Event, Query} {
		if v.Has(Admin) || !Admin.Has(v) || (Read | Event | Query).Has(Admin) {
			t.Errorf("%v", v)
		}
	}
}

const (
	one = "the first secret of all"
	two = "the second secret of all"
)

func newGuard(t *testing.T) *Guard {
	t.Helper()
	g := new(Guard)
	if err := g.Set([]Token{
		{Name: "one", Secret: one, Verbs: Read},
		{Name: "two", Secret: two, Verbs: Admin},
		{Name: "three", Cert: "host.example", Verbs: Event},
	}, 0); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGuardChecks(t *testing.T) {
	g := newGuard(t)
	if grant, ok := g.Check(one); !ok || grant != (Grant{"one", Read}) || !grant.Allows(Read) || grant.Allows(Event) {
		t.Errorf("%+v, %v", grant, ok)
	}
	if grant, ok := g.Check(two); !ok || grant != (Grant{"two", Admin}) {
		t.Errorf("%+v, %v", grant, ok)
	}
	// The empty one is nobody's, though one token has none.
	for _, wrong := range []string{"", one[:len(one)-1], one + " ", one + two, strings.ToUpper(one), strings.Repeat("x", 1<<20)} {
		if grant, ok := g.Check(wrong); ok || grant != (Grant{}) {
			t.Errorf("%.40q: %+v", wrong, grant)
		}
	}
	if grant, ok := new(Guard).Check(""); ok || grant.Allows(Read) || new(Guard).Anonymous().Allows(Read) {
		t.Error("the zero Guard grants something")
	}
}

func TestGuardCerts(t *testing.T) {
	g := newGuard(t)
	for _, c := range []*x509.Certificate{
		{Subject: pkix.Name{CommonName: "host.example"}},
		{DNSNames: []string{"other", "host.example"}},
	} {
		if grant, ok := g.Cert(c); !ok || grant != (Grant{"three", Event}) {
			t.Errorf("%+v, %v", grant, ok)
		}
	}
	for _, c := range []*x509.Certificate{nil, {}, {Subject: pkix.Name{CommonName: "host.example.org"}}, {DNSNames: []string{"*.example"}}} {
		if grant, ok := g.Cert(c); ok {
			t.Errorf("%+v", grant)
		}
	}
}

func TestGuardFaults(t *testing.T) {
	g := newGuard(t)
	for want, tokens := range map[string][]Token{
		"tokens[0]: it has no name":                            {{Secret: one, Verbs: Read}},
		"tokens[1]: the name 'a' is there twice":               {{Name: "a", Secret: one, Verbs: Read}, {Name: "a", Secret: two, Verbs: Read}},
		"tokens[0]: its secret is shorter than 16 bytes":       {{Name: "a", Secret: "short", Verbs: Read}},
		"tokens[1]: its secret is another one's too":           {{Name: "a", Secret: one, Verbs: Read}, {Name: "b", Secret: one, Verbs: Read}},
		"tokens[1]: its cert is another one's too":             {{Name: "a", Cert: "x", Verbs: Read}, {Name: "b", Cert: "x", Verbs: Read}},
		"tokens[0]: it has neither a secret nor a cert":        {{Name: "a", Verbs: Read}},
		"tokens[0]: it has no verbs":                           {{Name: "a", Secret: one}},
		"2000 tokens are more than 1024":                       make([]Token, 2000),
		"tokens[0]: it has no name\ntokens[0]: it has neither": {{}},
	} {
		err := g.Set(tokens, Admin)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), one) || strings.Contains(err.Error(), "short ") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// Nothing has changed.
	if _, ok := g.Check(two); !ok || g.Anonymous().Verbs != 0 {
		t.Error("a fault changed the tokens")
	}
}

func TestGuardKnown(t *testing.T) {
	g := newGuard(t)
	grant, _ := g.Check(two)
	nobody := g.Anonymous()
	if !g.Known(grant) || !g.Known(nobody) {
		t.Error("unknown at once")
	}
	if err := g.Set([]Token{{Name: "two", Secret: "another secret than before", Verbs: Read}}, Read); err != nil {
		t.Fatal(err)
	}
	if g.Known(grant) || g.Known(nobody) {
		t.Error("what is good for something else now is known")
	}
	if grant, ok := g.Check("another secret than before"); !ok || !g.Known(grant) || !g.Known(g.Anonymous()) {
		t.Error("the new one is not known")
	}
}

func BenchmarkCheck(b *testing.B) {
	var g Guard
	if err := g.Set([]Token{{Name: "one", Secret: one, Verbs: Read}, {Name: "two", Secret: two, Verbs: Read}}, 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		g.Check(two)
	}
}

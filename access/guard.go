package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// What a client is told. Neither says what would have been right.
var (
	// ErrNoGrant: no token, or one that is not known.
	ErrNoGrant = errors.New("access: not authenticated")
	// ErrRefused: the grant is good, but not for this.
	ErrRefused = errors.New("access: permission denied")
)

// minSecret is the least length of a token's secret in bytes: less can be guessed.
const minSecret = 16

// maxTokens bounds how many tokens there can be: each check compares with all.
const maxTokens = 1024

// Token lets whoever presents it do what its verbs say. It is presented as a
// secret, or as a client certificate with that name.
type Token struct {
	Name   string // for the log; unique
	Secret string // at least 16 bytes; "": none
	Cert   string // common name or DNS name of a client certificate; "": none
	Verbs  Verbs
}

// Grant is what somebody may do. The zero Grant is nothing.
type Grant struct {
	Name  string // the token's; "" for the anonymous
	Verbs Verbs
}

// Allows reports whether the grant is good for the verbs.
func (g Grant) Allows(want Verbs) bool { return g.Verbs.Has(want) }

// Guard knows the tokens. They can be replaced while it is in use. The zero
// Guard grants nothing to anybody.
type Guard struct{ rules atomic.Pointer[rules] }

type rules struct {
	tokens    []Token
	sums      [][sha256.Size]byte // of the secrets, by token
	anonymous Verbs
}

// Set replaces the tokens and what is granted without any. After an error nothing
// has changed; all faults are in it, and no secret.
func (g *Guard) Set(tokens []Token, anonymous Verbs) error {
	if err := checkTokens(tokens); err != nil {
		return err
	}
	r := &rules{tokens: slices.Clone(tokens), anonymous: anonymous}
	for _, t := range tokens {
		r.sums = append(r.sums, sha256.Sum256([]byte(t.Secret)))
	}
	g.rules.Store(r)
	return nil
}

func checkTokens(tokens []Token) error {
	var faults []error
	if len(tokens) > maxTokens {
		faults = append(faults, fmt.Errorf("%d tokens are more than %d", len(tokens), maxTokens))
	}
	names, secrets, certs := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, t := range tokens {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("tokens[%d]: %s", i, fmt.Sprintf(format, args...)))
		}
		switch {
		case t.Name == "":
			fault("it has no name")
		case names[t.Name]:
			fault("the name '%s' is there twice", t.Name)
		}
		names[t.Name] = true
		if t.Secret == "" && t.Cert == "" {
			fault("it has neither a secret nor a cert")
		}
		if t.Secret != "" && len(t.Secret) < minSecret {
			fault("its secret is shorter than %d bytes", minSecret)
		}
		if t.Secret != "" && secrets[t.Secret] {
			fault("its secret is another one's too")
		}
		if t.Cert != "" && certs[t.Cert] {
			fault("its cert is another one's too")
		}
		secrets[t.Secret], certs[t.Cert] = true, true
		if t.Verbs == 0 {
			fault("it has no verbs")
		}
	}
	return errors.Join(faults...)
}

// Check is the grant of a secret. It takes as long for a wrong one as for a
// right one, whichever it is and whatever the lengths.
func (g *Guard) Check(secret string) (Grant, bool) {
	r := g.rules.Load()
	if r == nil {
		return Grant{}, false
	}
	sum := sha256.Sum256([]byte(secret))
	found := -1
	for i := range r.sums {
		// Without a branch, and without an end at the first that matches.
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], r.sums[i][:]), i, found)
	}
	if found < 0 || r.tokens[found].Secret == "" {
		return Grant{}, false
	}
	t := &r.tokens[found]
	return Grant{Name: t.Name, Verbs: t.Verbs}, true
}

// Cert is the grant of a client certificate, which TLS has verified.
func (g *Guard) Cert(c *x509.Certificate) (Grant, bool) {
	r := g.rules.Load()
	if r == nil || c == nil {
		return Grant{}, false
	}
	for _, t := range r.tokens {
		if t.Cert != "" && (t.Cert == c.Subject.CommonName || slices.Contains(c.DNSNames, t.Cert)) {
			return Grant{Name: t.Name, Verbs: t.Verbs}, true
		}
	}
	return Grant{}, false
}

// Anonymous is the grant of those who present nothing.
func (g *Guard) Anonymous() Grant {
	if r := g.rules.Load(); r != nil {
		return Grant{Verbs: r.anonymous}
	}
	return Grant{}
}

// Empty reports whether there are no tokens.
func (g *Guard) Empty() bool {
	r := g.rules.Load()
	return r == nil || len(r.tokens) == 0
}

// Known reports whether a grant is still what the guard would give for its token.
func (g *Guard) Known(grant Grant) bool {
	if grant.Name == "" {
		return grant == g.Anonymous()
	}
	r := g.rules.Load()
	return r != nil && slices.ContainsFunc(r.tokens, func(t Token) bool { return t.Name == grant.Name && t.Verbs == grant.Verbs })
}

// Package access says who may ask an agent for what: tokens with verbs, TLS with
// certificates that are read again when they change, and Unix sockets with an
// owner and a mode. Every way in (RPC, HTTP) uses the same.
//
// A way in asks for a Grant once per connection or request (Guard.Check for a
// secret, Guard.Cert for a client's certificate, Guard.Anonymous for neither) and
// then, for each thing that is wanted, whether the grant Allows its verb. What a
// refusal says to the client is ErrRefused or ErrNoGrant and no more: not which
// verb is missing, nor whether a token like that exists.
package access

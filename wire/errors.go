package wire

import (
	"errors"
	"io"
)

// What may be wrong with input. None of them leaves anything half done: the
// message is dropped, the next one is read as if nothing had been.
var (
	// ErrTruncated: the bytes end before the message does.
	ErrTruncated = errors.New("wire: message is truncated")
	// ErrLimit: beyond one of the limits of this package.
	ErrLimit = errors.New("wire: limit exceeded")
	// ErrType: a type byte that does not exist, or not in this place.
	ErrType = errors.New("wire: unknown message type")
	// ErrValue: a value of the wrong kind or out of its field's range.
	ErrValue = errors.New("wire: wrong value")
	// ErrCRC: the checksum is not that of the message.
	ErrCRC = errors.New("wire: checksum mismatch")
	// ErrCompression: an unknown algorithm, or data that do not inflate.
	ErrCompression = errors.New("wire: cannot decompress")
	// ErrLabel: another label than ours, one where none may be, or an empty one.
	ErrLabel = errors.New("wire: unacceptable label")
	// ErrDecrypt: none of the keys opens it.
	ErrDecrypt = errors.New("wire: cannot decrypt")
	// ErrNotEncrypted: plain, where only sealed messages are accepted.
	ErrNotEncrypted = errors.New("wire: message is not encrypted")
	// ErrUnexpectedEncryption: sealed, and there is no key.
	ErrUnexpectedEncryption = errors.New("wire: message is encrypted and there is no key")
	// ErrPingVersion: an ack payload of another version than PingPayloadVersion.
	ErrPingVersion = errors.New("wire: unknown version of the ack payload")

	// ErrKeySize is misuse: a key that is not 16, 24 or 32 bytes long.
	ErrKeySize = errors.New("wire: key must be 16, 24 or 32 bytes")
)

// reasons in the order in which Reason looks: a wrapped chain gives its first.
var reasons = [...]struct {
	err  error
	text string
}{
	{ErrTruncated, "truncated"},
	{ErrLimit, "limit"},
	{ErrType, "type"},
	{ErrValue, "value"},
	{ErrCRC, "crc"},
	{ErrCompression, "compression"},
	{ErrLabel, "label"},
	{ErrDecrypt, "decrypt"},
	{ErrNotEncrypted, "not-encrypted"},
	{ErrUnexpectedEncryption, "unexpected-encryption"},
	{ErrPingVersion, "ping-version"},
	{ErrKeySize, "key-size"},
	{io.EOF, "eof"},
}

// Reason is a short label for an error of this package, one of a small fixed
// set, to count by: "" for nil, "other" for an error from elsewhere (the reader
// given to ReadStream).
func Reason(err error) string {
	if err == nil {
		return ""
	}
	for i := range reasons {
		if errors.Is(err, reasons[i].err) {
			return reasons[i].text
		}
	}
	return "other"
}

package rpc

import (
	"net"
	"time"
)

// Member is a member on the RPC wire.
type Member struct {
	Name        string
	Addr        net.IP
	Port        uint16
	Tags        map[string]string
	Status      string
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

// QueryRequest asks a query.
type QueryRequest struct {
	FilterNodes []string
	FilterTags  map[string]string
	RequestAck  bool
	RelayFactor uint8
	Timeout     time.Duration
	Name        string
	Payload     []byte
}

// The types of a QueryRecord.
const (
	QueryRecordAck      = "ack"
	QueryRecordResponse = "response"
	QueryRecordDone     = "done"
)

// QueryRecord is one piece of news of a running query.
type QueryRecord struct {
	Type    string
	From    string
	Payload []byte
}

// KeyResponse is what the nodes answered to a key command.
type KeyResponse struct {
	Messages map[string]string
	Keys     map[string]int
	NumNodes int
	NumErr   int
	NumResp  int
}

// Coordinate is a network coordinate on the RPC wire.
type Coordinate struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

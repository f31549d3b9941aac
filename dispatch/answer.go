package dispatch

import "errors"

// Faults of delivery: no server's answer is to be had. A front makes an
// answer in Groonga's own form of them.
var (
	// ErrNoReplica: no live and complete replica of a slice.
	ErrNoReplica = errors.New("no live replica of a slice answered")
	// ErrOverload: more commands are under way than are allowed.
	ErrOverload = errors.New("too many commands are under way")
	// ErrForbidden: it would end the servers.
	ErrForbidden = errors.New("not through the gateway: ask the server itself")
	// ErrUnknownDataset: the catalog has no such dataset.
	ErrUnknownDataset = errors.New("unknown dataset")
	// ErrAnswerTooLong: a server's answer exceeds Config.MaxAnswer.
	ErrAnswerTooLong = errors.New("answer is too long")
	// ErrTimeout: no answer in all the time there was.
	ErrTimeout = errors.New("no answer in time")
	// ErrNoLog: the gateway takes no part in a log of writes.
	ErrNoLog = errors.New("this gateway takes no writes: it was started without -log")
	// ErrLogFull: the log has as many bytes as it may.
	ErrLogFull = errors.New("the log of writes is full: a server or a gateway is away, and no more can be kept for it; the write was not done")
	// ErrWriteTooLarge: no entry of the log may be that large.
	ErrWriteTooLarge = errors.New("the write is too large for the log of writes")
	// ErrUnconfirmed: a write was proposed, and nobody knows yet whether it will be done.
	ErrUnconfirmed = errors.New("the write was proposed, and it is not known yet whether it will be done")
	// ErrNoMajority: the log of writes has none, and the write was certainly not done.
	ErrNoMajority = errors.New("no majority of the gateways can be reached: the write was not done")
	// ErrNotSafe: servers that execute it one by one need not end equal.
	ErrNotSafe = errors.New("not a write for several servers")
	// ErrAnswerGone: the write was done before, under the same id.
	ErrAnswerGone = errors.New("the write was done; what the server answered is not kept any more")
	// ErrGivenUp: the write was not done, and will not be.
	ErrGivenUp = errors.New("the write was given up before it was done")
	// ErrBarred: the gateway is none of the cluster, or goes by another catalog.
	ErrBarred = errors.New("this gateway answers nothing")
	// ErrStopped: the dispatcher is being closed.
	ErrStopped = errors.New("gateway is stopping")
)

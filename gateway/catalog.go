package gateway

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/dispatch"
)

// CatalogPath is where the catalog of the log is: GET tells it, POST changes it. do is "add", "remove", "replace" or
// "apply"; node (of add and remove also more than once), with, vote and alone are as the options of ibuki cluster; dry=yes
// only tells what would be done. Of apply the body is the catalog.
const CatalogPath = "/ibuki/catalog"

// changeTimeout is how long a change of the catalog may take to be taken over.
const changeTimeout = 15 * time.Second

// maxCatalog bounds a catalog that is posted, in bytes.
const maxCatalog = 8 << 20

// Operator is what changes the cluster: a dispatch.Dispatcher.
type Operator interface {
	Catalog() (*dispatch.LogCatalog, error)
	Change(ctx context.Context, q *dispatch.ChangeRequest) (*dispatch.ClusterChange, error)
	Drain(ctx context.Context, node string, end bool) ([]string, error)
}

// catalog tells or changes the catalog.
func (s *Server) catalog(ctx *fasthttp.RequestCtx) {
	limited, cancel := context.WithTimeout(context.Background(), changeTimeout)
	defer cancel()
	switch {
	case ctx.IsGet():
		c, err := s.cfg.Operator.Catalog()
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusConflict)
			return
		}
		s.json(ctx, c)
	case !ctx.IsPost():
		ctx.Error("GET tells the catalog, POST changes it", fasthttp.StatusMethodNotAllowed)
	case !s.mayChange(ctx):
	default:
		q, err := changeRequest(ctx)
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusBadRequest)
			return
		}
		change, err := s.cfg.Operator.Change(limited, q)
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusConflict)
			return
		}
		s.json(ctx, change)
	}
}

// DrainPath is where servers are taken out of the read set and put back: POST with node, the node whose servers are meant
// or host:port of one, and end=yes to put them back.
const DrainPath = "/ibuki/drain"

// drain takes servers out of the read set or puts them back.
func (s *Server) drain(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		ctx.Error("POST takes a server out of the read set", fasthttp.StatusMethodNotAllowed)
		return
	}
	if !s.mayChange(ctx) {
		return
	}
	limited, cancel := context.WithTimeout(context.Background(), changeTimeout)
	defer cancel()
	args := ctx.QueryArgs()
	list, err := s.cfg.Operator.Drain(limited, string(args.Peek("node")), string(args.Peek("end")) == "yes")
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusConflict)
		return
	}
	s.json(ctx, list)
}

func changeRequest(ctx *fasthttp.RequestCtx) (*dispatch.ChangeRequest, error) {
	args := ctx.QueryArgs()
	list := func(name string) (words []string) {
		for _, word := range args.PeekMulti(name) {
			words = append(words, string(word))
		}
		return words
	}
	yes := func(name string) bool { return string(args.Peek(name)) == "yes" }
	q := &dispatch.ChangeRequest{
		Do: string(args.Peek("do")), Nodes: list("node"), With: string(args.Peek("with")), Votes: list("vote"), Alone: yes("alone"), Dry: yes("dry"),
	}
	if q.Do != dispatch.ChangeApply {
		return q, nil
	}
	body, err := readBody(ctx)
	if err != nil {
		return nil, err
	}
	if len(body) > maxCatalog {
		return nil, fmt.Errorf("a catalog of more than %d bytes", maxCatalog)
	}
	if q.Catalog, err = catalog.Parse(body); err != nil {
		return nil, fmt.Errorf("the catalog: %w", err)
	}
	return q, nil
}

// mayChange looks whether a client may change the cluster: it has the token, or there is none and it is on this
// machine. Else it is told so.
func (s *Server) mayChange(ctx *fasthttp.RequestCtx) bool {
	if s.cfg.Guard == nil {
		page := len(ctx.Request.Header.Peek("Origin"))+len(ctx.Request.Header.Peek("Sec-Fetch-Site")) > 0 // in a browser of this machine
		if addr, ok := ctx.RemoteAddr().(*net.TCPAddr); ok && addr.IP.IsLoopback() && !page {
			return true
		}
		ctx.Error("without -token-file the gateway takes this from its own machine only", fasthttp.StatusForbidden)
		return false
	}
	scheme, secret, _ := strings.Cut(string(ctx.Request.Header.Peek("Authorization")), " ")
	if strings.EqualFold(scheme, "Bearer") {
		if grant, ok := s.cfg.Guard.Check(strings.TrimSpace(secret)); ok && grant.Allows(access.Admin) {
			return true
		}
	}
	ctx.Response.Header.Set("WWW-Authenticate", `Bearer realm="ibuki"`)
	ctx.Error(access.ErrNoGrant.Error(), fasthttp.StatusUnauthorized)
	return false
}

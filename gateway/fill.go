package gateway

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/dispatch"
)

// FillPath is where servers are filled: POST begins, GET tells how far it is. node is the node whose servers are meant, or
// host:port of one of them. With discard=yes they are filled whatever they have.
const FillPath = "/ibuki/fill"

// fillTimeout is how long a gateway may take to take up a filling.
const fillTimeout = 5 * time.Second

// fill has servers filled, or tells how they stand.
func (s *Server) fill(ctx *fasthttp.RequestCtx) {
	limited, cancel := context.WithTimeout(context.Background(), fillTimeout)
	defer cancel()
	node := string(ctx.QueryArgs().Peek("node"))
	var list []*dispatch.FillTarget
	var err error
	switch {
	case node == "":
		ctx.Error("say which node: ?node=NODE", fasthttp.StatusBadRequest)
		return
	case ctx.IsPost() && s.cfg.Guard != nil && !s.mayChange(ctx):
		return
	case ctx.IsPost():
		list, err = s.cfg.Fill(limited, node, string(ctx.QueryArgs().Peek("discard")) == "yes")
	case ctx.IsGet():
		list, err = s.cfg.Fillings(limited, node)
	default:
		ctx.Error("POST begins to fill a server, GET tells how far it is", fasthttp.StatusMethodNotAllowed)
		return
	}
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusConflict)
		return
	}
	s.json(ctx, list)
}

package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/coordinate"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

type membersAnswer struct {
	Version uint64 `json:"version"` // of the list
	Members []node `json:"members"` // sorted by name
}

// members answers with all members, or those that ?status=, ?name= and ?tag=KEY=VALUE want.
func (s *Server) members(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	for key := range q { // order-free: any of them is wrong
		if key != "status" && key != "name" && key != "tag" {
			return badRequest(fmt.Sprintf("there is no parameter %.40q (there are status, name, tag)", key))
		}
	}
	view := s.agent.Live().Current()
	out := membersAnswer{Version: view.Version(), Members: []node{}}
	known := s.agent.Members()
	at := 0
	for e := range view.All() {
		if !wanted(e, q) {
			continue
		}
		n := nodeOf(e)
		for at < len(known) && known[at].Name < e.Name { // both are sorted
			at++
		}
		if at < len(known) && known[at].Name == e.Name {
			n.speaks(&known[at])
		}
		out.Members = append(out.Members, n)
	}
	answer(w, http.StatusOK, out)
	return nil
}

func wanted(e *live.Entry, q map[string][]string) bool {
	if v := q["status"]; len(v) > 0 && v[0] != e.Status.String() {
		return false
	}
	if v := q["name"]; len(v) > 0 && v[0] != e.Name {
		return false
	}
	for _, tag := range q["tag"] {
		key, value, _ := strings.Cut(tag, "=")
		if got, ok := e.Tag(key); !ok || got != value {
			return false
		}
	}
	return true
}

type memberAnswer struct {
	node
	RTT     *float64 `json:"rtt_ms"` // estimated, from this node; null: not known
	Changes []change `json:"changes"`
	Total   int      `json:"changes_total"`
	Fails   int      `json:"fails"`
	Flaps   int      `json:"flaps"`
	// Watched is since when changes are counted.
	Watched time.Time `json:"watched_since"`
}

// member answers with one member and what it went through.
func (s *Server) member(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	e := s.agent.Live().Current().Get(name)
	if e == nil {
		return notFound("there is no member of that name")
	}
	p := s.histories.of(name)
	out := memberAnswer{node: nodeOf(e), Changes: p.changes, Total: p.total, Fails: p.fails, Flaps: p.flaps, Watched: s.begun.UTC()}
	for _, m := range s.agent.Members() {
		if m.Name == name {
			out.speaks(&m)
		}
	}
	out.RTT = s.rtt(name)
	answer(w, http.StatusOK, out)
	return nil
}

// rtt estimates the time to a node and back, in milliseconds.
func (s *Server) rtt(name string) *float64 {
	own, _ := s.agent.Coordinate(s.cfg.Name)
	other, _ := s.agent.Coordinate(name)
	if own == nil || other == nil || len(own.Vec) != len(other.Vec) {
		return nil
	}
	ms := float64(coordinateOf(own).DistanceTo(coordinateOf(other))) / float64(time.Millisecond)
	return &ms
}

func coordinateOf(c *rpc.Coordinate) coordinate.Coordinate {
	return coordinate.Coordinate{Vec: c.Vec, Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
}

type liveAnswer struct {
	Version  uint64    `json:"version"`
	Time     time.Time `json:"time"` // when the list became what it is
	NumAlive int       `json:"num_alive"`
	Nodes    int       `json:"nodes"`
	Alive    []node    `json:"alive"`
}

// live answers with the list of live nodes, or 304 to a client that has it.
func (s *Server) live(w http.ResponseWriter, r *http.Request) error {
	v := s.agent.Live().Current()
	tag := fmt.Sprintf(`"%s-%d"`, s.epoch, v.Version())
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache") // may be kept, and has to be asked about
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	out := liveAnswer{Version: v.Version(), Time: v.Time().UTC(), NumAlive: v.NumAlive(), Nodes: v.Len(), Alive: []node{}}
	for e := range v.Alive() {
		out.Alive = append(out.Alive, nodeOf(e))
	}
	answer(w, http.StatusOK, out)
	return nil
}

const (
	// coordsAge is how old the answer to /v1/coordinates may be at most.
	coordsAge = 5 * time.Second
	// coordsPause is for how long each coordinate in it lets it be used: the loop is
	// asked for so many a second and no more, whatever the size of the cluster.
	coordsPause = 5 * time.Millisecond
)

// coordCache keeps the last answer: each coordinate is a question to the loop.
type coordCache struct {
	mu   sync.Mutex
	at   time.Time
	last map[string]coordinateJSON
}

type coordinateJSON struct {
	Vec        []float64 `json:"vec"`
	Error      float64   `json:"error"`
	Adjustment float64   `json:"adjustment"`
	Height     float64   `json:"height"`
}

// coordinates answers with the network coordinates of all live nodes that have one.
func (s *Server) coordinates(w http.ResponseWriter, r *http.Request) error {
	c := &s.coords
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || time.Since(c.at) > min(coordsAge, time.Duration(len(c.last))*coordsPause) {
		all, err := s.askCoordinates(r.Context())
		if err != nil {
			return err
		}
		c.last, c.at = all, time.Now()
	}
	answer(w, http.StatusOK, map[string]any{"coordinates": c.last})
	return nil
}

func (s *Server) askCoordinates(ctx context.Context) (map[string]coordinateJSON, error) {
	all := make(map[string]coordinateJSON)
	for e := range s.agent.Live().Current().Alive() {
		if ctx.Err() != nil {
			return nil, errGone
		}
		c, err := s.agent.Coordinate(e.Name)
		if err != nil {
			return nil, notFound(err.Error())
		}
		if c != nil {
			all[e.Name] = coordinateJSON{c.Vec, c.Error, c.Adjustment, c.Height}
		}
	}
	return all, nil
}

type agentAnswer struct {
	Name    string                       `json:"name"`
	Version string                       `json:"version"`
	Now     time.Time                    `json:"now"`
	Begun   time.Time                    `json:"begun"`
	Stats   map[string]map[string]string `json:"stats"` // as `ibuki info` has them
	Figures []figureJSON                 `json:"figures"`
	Streams int                          `json:"streams"`
	Records uint64                       `json:"records"` // of the stream, so far
	Gateway bool                         `json:"gateway"` // /v1/gateway has one
}

// agentInfo answers with what there is to know of this node.
func (s *Server) agentInfo(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, agentAnswer{Name: s.cfg.Name, Version: s.cfg.Version, Now: time.Now().UTC(), Begun: s.begun.UTC(),
		Stats: s.agent.Stats(), Figures: s.figures(), Streams: s.streams.Len(), Records: s.journal.end() - 1, Gateway: s.beside.address != ""})
	return nil
}

// healthPatience is how long the agent's loop may take to answer.
const healthPatience = time.Second

// healthz says whether work may be given to this node: its agent answers, and holds
// itself for alive. It tells nothing else, for anybody may ask.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	e := s.agent.Live().Current().Get(s.cfg.Name)
	if e == nil || e.Status != live.Alive {
		return &problem{status: http.StatusServiceUnavailable, Code: "unhealthy", Message: "this node is not a live member"}
	}
	if !s.meters.loopAnswers(healthPatience) {
		return &problem{status: http.StatusServiceUnavailable, Code: "unhealthy", Message: "the agent does not answer"}
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

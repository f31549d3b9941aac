package dashboard

import (
	"context"
	"net/http"
	"time"
)

const (
	// maxWhys is how many questions to all members may be under way.
	maxWhys = 2
	// whyPatience is how long one may take; members have two seconds each, at once.
	whyPatience = 8 * time.Second
)

// whySeenHere explains a member by what this agent itself has seen of it.
func (s *Server) whySeenHere(w http.ResponseWriter, r *http.Request) error {
	return s.why(w, r, false)
}

// whyAskAll explains a member by what all members have seen: that is a query to each.
func (s *Server) whyAskAll(w http.ResponseWriter, r *http.Request) error {
	select {
	case s.whys <- struct{}{}:
		defer func() { <-s.whys }()
	default:
		return busy("too many such questions are under way")
	}
	return s.why(w, r, true)
}

func (s *Server) why(w http.ResponseWriter, r *http.Request, all bool) error {
	name := r.PathValue("name")
	if s.cfg.Why == nil || s.agent.Live().Current().Get(name) == nil {
		return notFound("there is no member of that name")
	}
	ctx, cancel := context.WithTimeout(r.Context(), whyPatience)
	defer cancel()
	report, err := s.cfg.Why(ctx, name, all)
	if err != nil {
		if r.Context().Err() != nil {
			return errGone
		}
		return busy(err.Error())
	}
	answer(w, http.StatusOK, report)
	return nil
}

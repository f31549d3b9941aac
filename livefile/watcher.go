package livefile

import (
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/fsnotify/fsnotify"
)

// watcher tells when something changed in the directory of a file. It is only a
// hint, to be early: what it misses is found by looking.
type watcher struct {
	dir   string
	notes *fsnotify.Watcher // nil: the system has no more of them
	info  os.FileInfo       // of the directory that is watched; nil: none is
	path  string
	named atomic.Bool   // what changed is the file itself
	tell  chan struct{} // has room for one
	ended chan struct{}
}

func newWatcher(path string) *watcher {
	w := &watcher{dir: filepath.Dir(path), path: path, tell: make(chan struct{}, 1), ended: make(chan struct{})}
	notes, err := fsnotify.NewWatcher()
	if err != nil {
		close(w.ended)
		return w // then polling has to do
	}
	w.notes = notes
	w.renew()
	go w.run()
	return w
}

// run hands on that there was something. Reading a file gives no note, and what
// changes only its time or mode (Chmod) is no news.
func (w *watcher) run() {
	defer close(w.ended)
	for {
		select {
		case e, ok := <-w.notes.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Chmod {
				continue
			}
			if e.Name == w.path {
				w.named.Store(true)
			}
		case _, ok := <-w.notes.Errors: // the queue was too short: anything may have changed
			if !ok {
				return
			}
			w.named.Store(true)
		}
		select {
		case w.tell <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) changed() <-chan struct{} { return w.tell }

// renew begins to watch the directory if it is there now, or is another one.
func (w *watcher) renew() {
	if w.notes == nil {
		return
	}
	info, err := os.Stat(w.dir)
	if err != nil {
		w.info = nil
		return
	}
	if w.info != nil && os.SameFile(w.info, info) {
		return
	}
	_ = w.notes.Remove(w.dir) // that of a directory that is gone
	if w.notes.Add(w.dir) == nil {
		w.info = info
	}
}

func (w *watcher) close() {
	if w.notes != nil {
		w.notes.Close()
	}
	<-w.ended
}

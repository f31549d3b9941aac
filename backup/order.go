package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/fill"
)

// restoreMark is the configuration key that a cluster has while a backup is brought into it: its value is the ID of
// that backup, so that a restore that was broken off can begin anew over what it has left.
const restoreMark = "ibuki-restore"

// ErrNotEmpty says that a cluster has something already.
var ErrNotEmpty = errors.New("the cluster is not empty")

// Restoring brings a backup into a cluster.
type Restoring struct {
	Folder *Folder
	Info   *Info // of the cluster
	Tables int   // that the cluster has: they are removed first

	client *Client
}

// Prepare checks the backup in a directory and the cluster, and changes nothing. discard: the cluster may have
// tables. heard is told how many bytes were checked.
func (c *Client) Prepare(ctx context.Context, dir string, discard bool, heard func(bytes int64)) (*Restoring, error) {
	r := &Restoring{client: c}
	var err error
	if r.Info, err = c.Info(ctx); err != nil {
		return nil, err
	}
	if r.Folder, err = Open(ctx, dir, heard); err != nil {
		return nil, err
	}
	if r.Tables, err = r.tables(ctx); err != nil || r.Tables == 0 {
		return r, err
	}
	mark, err := r.mark(ctx)
	switch {
	case err != nil:
		return nil, err
	case mark == r.Folder.ID, discard:
		return r, nil
	case mark != "":
		return nil, fmt.Errorf("%w: a part of another backup, whose restore was broken off", ErrNotEmpty)
	}
	return nil, fmt.Errorf("%w, tables: %d", ErrNotEmpty, r.Tables)
}

// tables is how many the cluster has.
func (r *Restoring) tables(ctx context.Context) (int, error) {
	body, err := r.client.Ask(ctx, &groonga.Command{Name: "table_list"})
	if err != nil {
		return 0, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return 0, fmt.Errorf("table_list: %w", err)
	}
	return max(0, len(list)-1), nil // the columns of the list come first
}

// mark is the backup of which the cluster has a part.
func (r *Restoring) mark(ctx context.Context) (id string, err error) {
	body, err := r.client.Ask(ctx, &groonga.Command{Name: "config_get", Args: []groonga.Arg{{Name: "key", Value: restoreMark}}})
	if err != nil {
		return "", err
	}
	return id, json.Unmarshal(body, &id)
}

func (r *Restoring) setMark(ctx context.Context) error {
	_, err := r.client.Ask(ctx, &groonga.Command{Name: "config_set", Args: []groonga.Arg{{Name: "key", Value: restoreMark}, {Name: "value", Value: r.Folder.ID}}})
	return err
}

// Run empties the cluster, and does what the backup says. loaded is told of each piece of records.
func (r *Restoring) Run(ctx context.Context, loaded func(rows int)) error {
	if r.Tables > 0 {
		if err := fill.Empty(ctx, r.client); err != nil {
			return err
		}
	}
	if err := r.setMark(ctx); err != nil {
		return err
	}
	err := r.Folder.Restore(ctx, r.client, r.Info.Cuts, loaded)
	if err != nil {
		return err
	}
	_, err = r.client.Ask(ctx, &groonga.Command{Name: "config_delete", Args: []groonga.Arg{{Name: "key", Value: restoreMark}}})
	return err
}

package agent

import (
	"fmt"
	"maps"

	"github.com/ibuki-dev/ibuki/wire"
)

// tagLayers are where this node's tags come from.
//
// Rule: what was set or deleted while the agent runs takes precedence over what it
// started with or what a reload brought. With a tags file, the file is what it
// starts with, every change is written there, and a configuration has no tags.
type tagLayers struct {
	base    map[string]string  // of the configuration, or of the tags file
	runtime map[string]*string // nil: deleted
}

func tagMap(tags []wire.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// all are the tags that the layers make together.
func (l tagLayers) all() map[string]string {
	all := make(map[string]string, len(l.base)+len(l.runtime))
	maps.Copy(all, l.base)
	for k, v := range l.runtime { // order-free: each key is there once
		if v != nil {
			all[k] = *v
		} else {
			delete(all, k)
		}
	}
	return all
}

// changed are the layers after tags were deleted and then others set at run time.
func (l tagLayers) changed(set map[string]string, del []string) tagLayers {
	next := tagLayers{base: l.base, runtime: make(map[string]*string, len(l.runtime)+len(set))}
	maps.Copy(next.runtime, l.runtime)
	for _, k := range del {
		if _, ok := l.base[k]; ok {
			next.runtime[k] = nil
		} else {
			delete(next.runtime, k)
		}
	}
	for k, v := range set { // order-free: into a map
		next.runtime[k] = &v
	}
	return next
}

// reloaded are the layers with another configuration below what was changed at
// run time.
func (l tagLayers) reloaded(base map[string]string) tagLayers {
	return tagLayers{base: base, runtime: l.runtime}
}

// SetTags deletes and then sets tags of this node: a key in both is set, as by Serf. When it returns, Members shows
// the change and the tags file, if there is one, is written.
func (a *Agent) SetTags(set map[string]string, del []string) error {
	a.tagsLock.Lock()
	defer a.tagsLock.Unlock()
	return a.useTags(a.tags.changed(set, del))
}

// ReplaceTags makes tags the only ones of this node, as SetTags would.
func (a *Agent) ReplaceTags(tags map[string]string) error {
	a.tagsLock.Lock()
	defer a.tagsLock.Unlock()
	var del []string
	for k := range a.tags.all() { // order-free: all of them go
		if _, ok := tags[k]; !ok {
			del = append(del, k)
		}
	}
	return a.useTags(a.tags.changed(tags, del))
}

// useTags tells the others, unless there is nothing to tell; the layers are as
// before if that fails. The caller holds tagsLock.
func (a *Agent) useTags(next tagLayers) error {
	if err := a.replaceTags(next.all()); err != nil {
		return err
	}
	a.tags = next
	return nil
}

// Reload applies what can change while the agent runs: log level, event handlers, tokens, whether
// what is not encrypted is sent and accepted, and, unless they are kept in a file,
// tags. Tags that were set or deleted at run time stay so.
func (a *Agent) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	a.log.SetLevel(cfg.LogLevel)
	a.ring.verify(!cfg.NoVerifyIncoming, !cfg.NoVerifyOutgoing)
	if err := a.handlers.Use(cfg.EventHandlers, cfg.Handlers...); err != nil {
		return err
	}
	if err := a.reloadTokens(&cfg); err != nil {
		return err
	}
	if a.cfg.TagsFile != "" {
		return nil
	}
	a.tagsLock.Lock()
	defer a.tagsLock.Unlock()
	next := a.tags.reloaded(tagMap(cfg.Tags))
	if maps.Equal(next.all(), a.tags.all()) {
		a.tags = next // nobody needs to be told
		return nil
	}
	if err := a.useTags(next); err != nil {
		return fmt.Errorf("Failed to update tags: %w", err)
	}
	return nil
}

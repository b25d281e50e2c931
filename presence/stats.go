package presence

// Stats counts what went wrong on this node since the Tracker was made.
type Stats struct {
	HandlerPanics uint64 // panics of OnChange and OnEvict, which were caught
}

// Stats returns the counters of this node.
func (t *Tracker) Stats() Stats {
	return Stats{HandlerPanics: t.changes.panics.Load()}
}

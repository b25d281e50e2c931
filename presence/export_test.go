package presence

// CheckViews is how often views are compared with Redis.
const CheckViews = checkViews

// ReadInPagesOver has this node read rooms of more presences in pages.
func (t *Tracker) ReadInPagesOver(presences int) { t.whole = presences }

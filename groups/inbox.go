package groups

// inbox hears what is sent to this node's channels.
type inbox Layer

// Frame implements bus.Listener.
func (i *inbox) Frame(data string) {
	l := (*Layer)(i)
	kind, body, err := openFrame(l.opts.sealer, i, data)
	switch {
	case err == nil && (kind == kindRequest || kind == kindAnswer):
		l.peer(kind, body)
	case err == nil && kind == kindDirect:
		l.direct(body)
	default:
		l.dropped("inbox", err)
	}
}

func (l *Layer) direct(body string) {
	short, m, err := decodeDirect(body)
	if err != nil {
		l.malformed("inbox")
		return
	}
	l.mu.RLock()
	c := l.channels[short]
	l.mu.RUnlock()
	if c == nil {
		l.stats.unknown.Add(1)
		return
	}
	if c.deliver(&m) == nil { // a full mailbox is counted there
		l.stats.delivered.Add(1)
	}
}

// Gap implements bus.Listener. What was lost was sent at most once.
func (i *inbox) Gap() { i.stats.gaps.Add(1) }

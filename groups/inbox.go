package groups

// inbox receives the frames addressed to this node.
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
	if c.deliver(&m) == nil { // deliver counts a full mailbox
		l.stats.delivered.Add(1)
	}
}

// Gap implements bus.Listener. Lost messages are not repeated: delivery is at most
// once.
func (i *inbox) Gap() { i.stats.gaps.Add(1) }

package groups

import (
	"errors"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/internal/seal"
)

// kindSealed is a frame of another kind, encrypted from its kind byte on.
const kindSealed = 'S'

// errUnopened means that the layer's keys do not open a frame, or that it has keys and
// the frame is in clear: anyone who can publish could have made that one.
var errUnopened = errors.New("rollcall: frame does not open")

// Sealer returns the sealer made of Options.Keys, for rollcall's own packages. It is
// nil without keys.
func (l *Layer) Sealer() *seal.Sealer { return l.opts.sealer }

// frameSpace separates frames sealed for a topic from everything else sealed with the
// same keys.
const frameSpace = "frame\x00"

// sealFrame encrypts a frame for one topic. It does not open on another.
func sealFrame(s *seal.Sealer, topic, frame string) string {
	if s == nil {
		return frame
	}
	sealed := s.Seal([]byte(frame[1:]), []byte(frameSpace+topic))
	b := make([]byte, 0, 2+len(sealed))
	b = append(b, frameVersion, kindSealed)
	return string(append(b, sealed...))
}

// hearer is the receiver of a topic. It builds the name only on demand, as a layer
// without keys does not need it.
type hearer interface{ topic() string }

func (g *group) topic() string { return g.layer.store.Room(g.name) }

func (i *inbox) topic() string { return i.store.Inbox(i.opts.NodeID) }

// openFrame returns the kind and the clear body of a frame that h received. Events come
// from the scripts, which have no keys, and are always in clear.
func openFrame(s *seal.Sealer, h hearer, data string) (kind byte, body string, err error) {
	kind, body, err = frameKind(data)
	switch {
	case err != nil || kind == kindEvent:
		return kind, body, err
	case kind != kindSealed && s == nil:
		return kind, body, nil
	case kind != kindSealed || s == nil:
		return 0, "", errUnopened
	}
	opened, err := s.Open([]byte(body), []byte(frameSpace+h.topic()))
	if err != nil {
		return 0, "", errUnopened
	}
	if len(opened) == 0 || opened[0] == kindEvent || opened[0] == kindSealed {
		return 0, "", errFrame
	}
	return opened[0], string(opened[1:]), nil
}

// dropped counts a frame that nobody gets. err says why; it is nil for a kind that does
// not belong on the topic.
func (l *Layer) dropped(topic string, err error) {
	if !errors.Is(err, errUnopened) {
		l.malformed(topic)
		return
	}
	l.stats.unopened.Add(1)
	l.log.Warn("frame that does not open dropped", zap.String("topic", topic))
}

package presence

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	seekEvery   = 250 * time.Millisecond
	seekTimeout = 2 * time.Second
	seekRooms   = 64 // per request
	sweepTime   = 5 * time.Second
)

// missing are the members of a view that a read did not find although no departure was
// heard: Redis may have lost them. They stay until the node that holds them has put
// back what it has, or is known to be gone. So a departure may be reported late, but
// never falsely.
type missing struct {
	suspicious bool                // the next read may lack what Redis has lost
	channels   map[string]struct{} // still to be found
	cleared    map[string]struct{} // nodes that have put back what they hold, since the read
	since      time.Time
}

// judge decides whether what a read lacks may have been lost: the room is not the same as
// before, or is in an older state.
func (m *missing) judge(before, now luascripts.Header) {
	if before.Revision != 0 && (now.Birth != before.Birth || now.Revision < before.Revision) {
		m.suspicious = true
	}
}

// keep reports whether a member that a read lacks stays.
func (m *missing) keep(channel string) bool {
	node, _, _ := groups.SplitChannel(channel)
	_, already := m.channels[channel]
	_, cleared := m.cleared[node]
	if !m.suspicious && (cleared || !already) {
		delete(m.channels, channel)
		return false
	}
	if m.channels == nil {
		m.channels = make(map[string]struct{})
	}
	if len(m.channels) == 0 {
		m.since = time.Now()
	}
	m.channels[channel] = struct{}{}
	return true
}

func (m *missing) found(channel string) { delete(m.channels, channel) }

// settle ends a read, and reports whether there is anybody to seek.
func (m *missing) settle() bool {
	m.suspicious, m.cleared = false, nil
	return m.any()
}

func (m *missing) any() bool { return len(m.channels) > 0 }

// nodes returns the nodes that hold the missing channels and are to be asked. For a
// cleared node a read is under way, and clearing it again would have that discarded:
// where a read takes longer than an answer, none would ever count.
func (m *missing) nodes() []string {
	var nodes []string
	for channel := range m.channels {
		node, _, _ := groups.SplitChannel(channel)
		if _, cleared := m.cleared[node]; !cleared && !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// clear has the room read again; members of that node that it still lacks are gone.
func (v *view) clear(node string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.missing.cleared == nil {
		v.missing.cleared = make(map[string]struct{})
	}
	v.missing.cleared[node] = struct{}{}
	v.resync()
}

// seekMissing asks the nodes for what views miss, in the background, until nobody is
// left to ask. A read that then still lacks somebody begins it anew.
func (t *Tracker) seekMissing() {
	if !t.seeking.begin() {
		return
	}
	t.spawn(func() {
		for again := true; again; {
			byNode := t.missingByNode()
			if t.seekAll(byNode) != nil {
				return
			}
			again = t.seeking.again(len(byNode) > 0)
		}
	})
}

// seekAll leaves time to read what was put back. It returns an error if the tracker is
// closed.
func (t *Tracker) seekAll(byNode map[string][]*view) error {
	if len(byNode) == 0 {
		return nil
	}
	var work sync.WaitGroup
	for node, views := range byNode {
		work.Go(func() { t.seek(node, views) })
	}
	work.Wait()
	return sleep(t.ctx, nil, seekEvery)
}

func (t *Tracker) missingByNode() map[string][]*view {
	t.views.mu.Lock()
	defer t.views.mu.Unlock()
	byNode := make(map[string][]*view)
	for _, v := range t.views.byRoom {
		v.mu.Lock()
		for _, node := range v.missing.nodes() {
			byNode[node] = append(byNode[node], v)
		}
		v.mu.Unlock()
	}
	return byNode
}

// seek asks a node to put back what it holds in the rooms of some views.
func (t *Tracker) seek(node string, views []*view) {
	for chunk := range slices.Chunk(views, seekRooms) {
		rooms := make([]string, len(chunk))
		for i, v := range chunk {
			rooms[i] = v.room
		}
		err := t.askToConfirm(node, rooms)
		if err != nil && t.ctx.Err() == nil {
			t.log.Info("missing presences not confirmed", zap.String("of", node), zap.Error(err))
		}
		for _, v := range chunk {
			if err == nil || t.isGone(node, v) {
				v.clear(node)
			}
		}
	}
}

func (t *Tracker) askToConfirm(node string, rooms []string) error {
	ctx, cancel := context.WithTimeout(t.ctx, seekTimeout)
	defer cancel()
	if node == t.layer.NodeID() {
		return t.confirm(ctx, rooms)
	}
	return t.layer.AskNode(ctx, node, opConfirm, rooms, nil)
}

// isGone reports whether a node that does not answer has had the time to sign its lease
// in the room's shard, and has not.
func (t *Tracker) isGone(node string, v *view) bool {
	v.mu.Lock()
	since := v.missing.since
	v.mu.Unlock()
	if time.Since(since) < t.opts.Lease+sweepTime {
		return false
	}
	ctx, cancel := context.WithTimeout(t.ctx, seekTimeout)
	defer cancel()
	rows, now, err := t.store.NodeRows(ctx, t.store.Shard(v.room))
	if err != nil {
		return false
	}
	alive := slices.ContainsFunc(rows, func(r luascripts.NodeRow) bool { return r.Node == node && !r.Lapsed(now) })
	return !alive
}

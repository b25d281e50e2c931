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
	suspicious bool                 // the next read may lack what Redis has lost
	channels   map[string]time.Time // still to be found, and since when
	cleared    map[string]struct{}  // nodes that have put back what they hold, since the read
	doubts     int                  // suspicious reads
	doubted    time.Time            // the last one
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
		m.channels = make(map[string]time.Time)
	}
	if !already {
		m.channels[channel] = time.Now()
	}
	return true
}

func (m *missing) found(channel string) { delete(m.channels, channel) }

// settle ends a read, and reports whether there is anybody to seek.
func (m *missing) settle() bool {
	if m.suspicious {
		m.doubts++
		m.doubted = time.Now()
	}
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

// hadTime reports whether a node has had time to sign its lease since the last loss
// there may have been. Where there may be one again and again, as with a connection that
// does not last, four times that is enough since its newest member went missing: a node
// that has signed nothing and confirmed nobody for so long is cut off.
func (m *missing) hadTime(node string, wait time.Duration) bool {
	var newest time.Time
	for channel, since := range m.channels {
		if of, _, _ := groups.SplitChannel(channel); of == node && since.After(newest) {
			newest = since
		}
	}
	return time.Since(m.doubted) >= wait || time.Since(newest) >= 4*wait
}

// sought is a view that misses members of a node, and what it knew when that was noted.
type sought struct {
	*view
	doubts int
}

// clear has the room read again; members of that node that it still lacks are gone. If
// Redis may have lost data since the node was to be asked, its answer tells nothing.
func (v sought) clear(node string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.missing.doubts != v.doubts {
		return
	}
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
func (t *Tracker) seekAll(byNode map[string][]sought) error {
	if len(byNode) == 0 {
		return nil
	}
	var work sync.WaitGroup
	for node, views := range byNode {
		work.Go(func() { t.seek(node, views) })
	}
	work.Wait()
	return sleep(t.ctx, seekEvery)
}

func (t *Tracker) missingByNode() map[string][]sought {
	t.views.mu.Lock()
	defer t.views.mu.Unlock()
	byNode := make(map[string][]sought)
	for _, v := range t.views.byRoom {
		v.mu.Lock()
		for _, node := range v.missing.nodes() {
			byNode[node] = append(byNode[node], sought{v, v.missing.doubts})
		}
		v.mu.Unlock()
	}
	return byNode
}

// seek asks a node to put back what it holds in the rooms of some views.
func (t *Tracker) seek(node string, views []sought) {
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
			if err == nil || t.isGone(node, v.view) {
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
	hadTime := v.missing.hadTime(node, t.opts.Lease+sweepTime)
	v.mu.Unlock()
	if !hadTime {
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

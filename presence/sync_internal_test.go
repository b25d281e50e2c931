package presence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// soon is longer than a read and its first repetition, and ends before a check.
const soon = 200 * time.Millisecond

// reads counts what a client reads of rooms, and calls a function between a
// reply and its use.
type reads struct {
	mu    sync.Mutex
	count map[string]int    // by command
	after map[string]func() // called once
	lose  bool              // the next page lacks somebody
	fail  int               // how many more replies to hget are lost
}

func newReads() *reads {
	return &reads{count: make(map[string]int), after: make(map[string]func())}
}

// then has f called after the next such command.
func (h *reads) then(command string, f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.after[command] = f
}

// of tells how often a command was sent.
func (h *reads) of(command string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count[command]
}

func (h *reads) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *reads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if h.lost(cmd) {
			err = io.ErrUnexpectedEOF
			cmd.SetErr(err)
		}
		h.note(cmd)
		return err
	}
}

func (h *reads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			h.note(cmd)
		}
		return err
	}
}

// lost tells whether the reply to a command is to be lost.
func (h *reads) lost(cmd redis.Cmder) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail == 0 || cmd.Name() != "hget" {
		return false
	}
	h.fail--
	return true
}

func (h *reads) note(cmd redis.Cmder) {
	h.mu.Lock()
	if scan, ok := cmd.(*redis.ScanCmd); ok && h.lose {
		h.lose = false
		page, cursor := scan.Val()
		i := slices.IndexFunc(page, func(field string) bool { return strings.Contains(field, "!") })
		scan.SetVal(slices.Delete(page, i, i+2), cursor)
	}
	f := h.after[cmd.Name()]
	delete(h.after, cmd.Name())
	h.count[cmd.Name()]++
	h.mu.Unlock()
	if f != nil {
		f()
	}
}

// stage is a view to which the test delivers the events.
type stage struct {
	t        *testing.T
	writer   stranger
	reads    reads
	w        *Watcher
	told     told
	channels []*groups.Channel

	mu     sync.Mutex
	events []string // that came, and are not delivered
}

func (s *stage) Event(frame string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, frame)
	return nil
}

func (s *stage) Gap() {}

// newStage has ana, ben and cleo in the lobby, in channels 0 to 2.
func newStage(t *testing.T, server *redistest.Server, whole int) *stage {
	t.Helper()
	s := &stage{t: t, writer: newStranger(t, server)}
	s.reads.count, s.reads.after = make(map[string]int), make(map[string]func())
	client := server.NewClient(t)
	client.AddHook(&s.reads)
	reader := newStrangerOn(t, client)
	reader.whole = whole
	for _, user := range []string{"ana", "ben", "cleo"} {
		s.add(user)
	}
	var err error
	if s.w, err = reader.Watch(t.Context(), "lobby", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.w.Close)
	s.told = startOf(s.w)
	redistest.Advance(t, 0)
	v := s.w.view
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listening.Close()
	if v.listening, err = reader.layer.Listen("lobby", s); err != nil {
		t.Fatal(err)
	}
	clear(s.reads.count)
	return s
}

func (s *stage) add(user string) {
	c, err := s.writer.layer.NewChannel()
	if err == nil {
		_, _, err = s.writer.Add(s.t.Context(), "lobby", c.Name(), Member{User: user})
	}
	if err != nil {
		s.t.Error(err)
	}
	s.channels = append(s.channels, c)
}

func (s *stage) remove(i int) {
	if _, err := s.writer.Remove(s.t.Context(), "lobby", s.channels[i].Name()); err != nil {
		s.t.Error(err)
	}
}

func (s *stage) update(i int, info string) {
	if _, err := s.writer.Update(s.t.Context(), "lobby", s.channels[i].Name(), []byte(info)); err != nil {
		s.t.Error(err)
	}
}

// change makes three events, and returns them once they came.
func (s *stage) change() []string {
	s.add("dora")
	s.remove(0)
	s.update(1, "x")
	for {
		s.mu.Lock()
		came := slices.Clone(s.events)
		if len(came) == 3 {
			s.events = nil
		}
		s.mu.Unlock()
		if len(came) == 3 {
			return came
		}
		time.Sleep(time.Microsecond)
	}
}

func (s *stage) deliver(events ...string) {
	for _, e := range events {
		s.w.view.Event(e)
	}
}

// right checks that the view is what Redis has, and was told of without a
// contradiction.
func (s *stage) right() {
	s.t.Helper()
	s.told.apply(s.t, taken(s.w))
	want, err := s.writer.Snapshot(s.t.Context(), "lobby")
	if err != nil {
		s.t.Fatal(err)
	}
	equal := func(a, b Presence) bool { return a.Channel == b.Channel && same(&a, &b) }
	if got := s.w.Snapshot(); got.Counts != want.Counts || !slices.EqualFunc(got.Presences, want.Presences, equal) {
		s.t.Errorf("the view is %+v\nwant %+v", got, want)
	}
	if len(s.told.users) != len(want.Presences) || len(s.told.present) != want.Counts.Users {
		s.t.Errorf("told of %v and %v, want %+v", s.told.users, s.told.present, want)
	}
}

// other is an event of a room of the same revisions and another birth.
func other(frame string) string {
	e, err := luascripts.DecodeEvent(frame)
	if err != nil {
		panic(err)
	}
	return strings.Replace(frame, fmt.Sprint(e.Birth), fmt.Sprint(e.Birth+1), 1)
}

// What happens to events while the room is read, and how often it is read then:
// once more than needed where Redis may have lost who is missing.
func TestEventsDuringARead(t *testing.T) {
	for name, c := range map[string]struct {
		deliver func(s *stage, e []string)
		reads   int
	}{
		"they follow the snapshot": {func(s *stage, e []string) { s.deliver(e...) }, 1},
		"the first is lost":        {func(s *stage, e []string) { s.deliver(e[1], e[2]) }, 2},
		"one in between is lost":   {func(s *stage, e []string) { s.deliver(e[0], e[2]) }, 2},
		"one comes twice":          {func(s *stage, e []string) { s.deliver(e[0], e[0], e[1], e[2]) }, 2},
		"they come in disorder":    {func(s *stage, e []string) { s.deliver(e[1], e[0], e[2]) }, 2},
		"the connection is lost":   {func(s *stage, _ []string) { s.w.view.Gap() }, 3},
		"one does not decode":      {func(s *stage, e []string) { s.deliver(e[0], "?", e[2]) }, 2},
		"there are too many": {func(s *stage, e []string) {
			for range maxBuffered + 1 {
				s.deliver(e[0])
			}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
				s := newStage(t, server, maxWhole)
				s.reads.after["hgetall"] = func() { c.deliver(s, s.change()) }
				s.deliver("?")
				redistest.Advance(t, soon)
				s.right()
				if got := s.reads.count["hgetall"]; got != c.reads {
					t.Errorf("read %d times, want %d", got, c.reads)
				}
			})
		})
	}
}

// What leads to a read at once, and what to none. Where Redis may have lost who is
// missing there is a second one.
func TestEventsThatDoNotFollow(t *testing.T) {
	for name, c := range map[string]struct {
		deliver func(s *stage, e []string)
		reads   int
	}{
		"all is well":                {func(s *stage, e []string) { s.deliver(e...) }, 0},
		"one is lost, and another":   {func(s *stage, e []string) { s.deliver(e[0], e[2]) }, 1},
		"one comes twice":            {func(s *stage, e []string) { s.deliver(e[0], e[0]) }, 1},
		"an old one comes late":      {func(s *stage, e []string) { s.deliver(e[0], e[1], e[2], e[0]) }, 1},
		"one does not decode":        {func(s *stage, e []string) { s.deliver(e[0], e[1], "?") }, 1},
		"one is of another birth":    {func(s *stage, e []string) { s.deliver(e[0], e[1], other(e[2])) }, 1},
		"the connection was lost":    {func(s *stage, _ []string) { s.w.view.Gap() }, 2},
		"it was lost, for no event":  {func(s *stage, e []string) { s.deliver(e...); s.w.view.Gap() }, 1},
		"the room is made again":     {func(s *stage, _ []string) { s.remake(); s.deliver(s.take()...) }, 2},
		"and nothing is lost of it":  {func(s *stage, e []string) { s.deliver(e...); s.remake(); s.deliver(s.take()...) }, 2},
		"the events come a bit late": {func(s *stage, e []string) { redistest.Advance(s.t, soon); s.deliver(e...) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
				s := newStage(t, server, maxWhole)
				c.deliver(s, s.change())
				redistest.Advance(t, soon)
				s.right()
				if got := s.reads.count["hgetall"]; got != c.reads {
					t.Errorf("read %d times, want %d", got, c.reads)
				}
			})
		})
	}
}

// remake removes the room, and makes it again with one presence.
func (s *stage) remake() {
	for i := range s.channels {
		s.remove(i)
	}
	if _, err := s.writer.Store().PruneRooms(s.t.Context(), 0, []string{"lobby"}); err != nil {
		s.t.Fatal(err)
	}
	redistest.Advance(s.t, time.Millisecond)
	s.take()
	s.add("eve")
	redistest.Advance(s.t, 0)
}

// take returns the events that came.
func (s *stage) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := s.events
	s.events = nil
	return came
}

// A room that changes while its pages are read.
func TestEventsDuringAPagedRead(t *testing.T) {
	for name, c := range map[string]struct {
		after   string // the command
		deliver func(s *stage, e []string)
		reads   int
		within  time.Duration
	}{
		"before the pages": {"hget", func(s *stage, e []string) { s.deliver(e...) }, 1, soon},
		"after the pages":  {"hscan", func(s *stage, e []string) { s.deliver(e...) }, 1, soon},
		"one is lost":      {"hget", func(s *stage, e []string) { s.deliver(e[0], e[2]) }, 2, soon},
		"the last is lost": {"hget", func(s *stage, e []string) { s.deliver(e[0], e[1]) }, 2, awaitEvents + soon},
		"the last is late": {"hget", func(s *stage, e []string) {
			before := s.w.Snapshot()
			s.deliver(e[0])
			time.AfterFunc(soon/2, func() { s.deliver(e[1]) })
			time.AfterFunc(3*soon/4, func() {
				if now := s.w.Snapshot(); now.Counts != before.Counts || len(now.Presences) != len(before.Presences) {
					s.t.Errorf("pages are shown that are not right yet: %+v, before %+v", now, before)
				}
				s.deliver(e[2])
			})
		}, 1, soon},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
				s := newStage(t, server, 1)
				s.reads.after[c.after] = func() { c.deliver(s, s.change()) }
				s.deliver("?")
				redistest.Advance(t, c.within)
				s.right()
				if got := s.reads.count["hscan"]; got != c.reads || s.reads.count["hgetall"] > 0 {
					t.Errorf("read pages %d times, want %d; all %d times", got, c.reads, s.reads.count["hgetall"])
				}
			})
		})
	}
}

// After two failures a large room is read in one step.
func TestALargeRoomThatChangesTooFast(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, 1)
		s.reads.after["hscan"] = func() {
			s.w.view.Gap()
			s.reads.mu.Lock()
			defer s.reads.mu.Unlock()
			s.reads.after["hscan"] = s.w.view.Gap
		}
		s.w.view.Gap()
		redistest.Advance(t, 2*soon)
		s.right()
		if s.reads.count["hscan"] != 2 || s.reads.count["hgetall"] != 1 {
			t.Errorf("read %v", s.reads.count)
		}
	})
}

// taken is the net difference so far, which may be none.
func taken(w *Watcher) Diff {
	d, _ := w.take()
	return d
}

// Pages are read of two servers, and lack somebody.
func TestPagesThatAreNotWhole(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, 1)
		s.reads.lose = true
		s.deliver("?")
		redistest.Advance(t, soon)
		s.right()
		if got := s.reads.count["hscan"]; got != 2 {
			t.Errorf("read pages %d times", got)
		}
	})
}

// A large room that could not be read has not changed too fast: it is still read in
// pages once Redis answers.
func TestALargeRoomAfterAnOutage(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, 1)
		s.reads.fail = 2
		s.deliver("?")
		redistest.Advance(t, 2*soon)
		s.right()
		if s.reads.of("hscan") != 1 || s.reads.of("hgetall") != 0 {
			t.Errorf("read %v", s.reads.count)
		}
	})
}

// A room whose pages take too long, while Redis answers, is read in one step.
func TestALargeRoomWhosePagesTakeTooLong(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, 1)
		slow := func() { time.Sleep(writeTimeout + time.Second) }
		s.reads.then("hscan", func() {
			s.reads.then("hscan", slow)
			slow()
		})
		s.deliver("?")
		redistest.Advance(t, 3*writeTimeout)
		s.right()
		if s.reads.of("hscan") != 2 || s.reads.of("hgetall") != 1 {
			t.Errorf("read %v", s.reads.count)
		}
	})
}

// A large room is not read in vain while its shard is known to be away.
func TestALargeRoomOfAShardThatIsAway(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, 1)
		v := s.w.view
		away := &v.tracker.writer(v.room).away
		away.Store(&outage{since: time.Now(), cause: io.ErrUnexpectedEOF, deaf: true})
		s.deliver("?")
		redistest.Advance(t, soon)
		if s.reads.of("hscan") != 0 {
			t.Errorf("while it is away: read %v", s.reads.count)
		}
		away.Store(nil)
		redistest.Advance(t, 2*soon)
		s.right()
		if s.reads.of("hscan") != 1 || s.reads.of("hgetall") != 0 {
			t.Errorf("after that: read %v", s.reads.count)
		}
	})
}

// All who wait for the first snapshot of a room learn at the same time that Redis is
// away.
func TestAllFirstWatchesFailFast(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		n := newStranger(t, server)
		server.Stop()
		const waiting = 20
		failed := make(chan error, waiting)
		for range waiting {
			go func() {
				_, err := n.Watch(t.Context(), "lobby", nil)
				failed <- err
			}()
		}
		redistest.Advance(t, 10*time.Second)
		if len(failed) != waiting {
			t.Errorf("%d of %d were told", len(failed), waiting)
		}
		for range waiting {
			if err := <-failed; !errors.Is(err, ErrUnavailable) {
				t.Errorf("told %v", err)
			}
		}
		server.Start()
		redistest.Advance(t, time.Second) // dials that have begun end
	})
}

package presence_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// rubbish returns frames that nobody may believe: of other versions and kinds,
// random, cut short and altered, requests that make no sense, and huge ones.
func rubbish(random *rand.Rand, sound []string) []string {
	frames := []string{
		"", "\x00", "\x01", "\x02", "\x01C", "\x02C5 4 1 1 0 1\n", "\x01C5 4 1 1 0 1", "\x01C9 8 7 6 5 4\n+", "\x01C-1 -2 -3 -4 -5 -6\n",
		"\x01C99999999999999999999 1 1 1 1 1\n", "\x01Q", "\x01Q{}", "\x01Q[]", "\x01Qnull", "\x01A{}", `\x01A{"id":1}`, "\x01S", "\x7fM\x01tx",
		"\x01Q{\"op\":\"presence.add\",\"body\":{\"room\":\"\",\"channel\":\"x!1\"}}", "\x01Q{\"op\":\"confirm\",\"from\":\"\",\"body\":[\"\",\"lobby\",7]}",
		"\x01Q{\"op\":\"presence.kick\",\"body\":{}}", "\x01Q{\"op\":\"nonsense\",\"from\":\"nobody\",\"timeout\":-5}",
		"\x01C" + strings.Repeat("1 ", 1<<20), "\x01M" + string(binary.AppendUvarint(nil, 1<<40)), strings.Repeat("\xff", 4<<20),
	}
	for range 300 {
		frame := make([]byte, random.IntN(200))
		for i := range frame {
			frame[i] = byte(random.Uint32())
		}
		frames = append(frames, string(frame), "\x01"+string(frame), "\x01C"+string(frame))
	}
	for range 300 {
		frame := []byte(sound[random.IntN(len(sound))])
		frames = append(frames, string(frame[:random.IntN(len(frame))]))
		frame = bytes.Clone(frame)
		frame[0] = byte(2 + random.IntN(200)) // of a version to come
		frames = append(frames, string(frame))
	}
	return frames
}

// Row 24: whatever is published on the topics of a room and of a node, nodes drop
// and count it, and views are soon what Redis has. People come and go meanwhile.
func TestRubbishOnTheBus(t *testing.T) {
	const seed = 24
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		w := watch(t, b, "lobby", nil)
		counts, err := b.WatchCounts(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer counts.Close()
		client, store := s.NewClient(t), b.Store()
		sound := redistest.Subscribe(t, client, store.Room("lobby"))
		for _, n := range []*node{a, b} {
			n.add(t, "lobby", n.open(t), "ana")
		}
		frames := rubbish(rand.New(rand.NewPCG(seed, 0)), []string{(<-sound).Payload, (<-sound).Payload})
		topics := []string{store.Room("lobby"), store.Inbox(b.Layer.NodeID()), b.Layer.Pulse(0).Topic()}
		for i, frame := range frames {
			for _, topic := range topics {
				if _, err := redistest.Publish(t.Context(), client, topic, frame); err != nil {
					t.Fatalf("frame %d of seed %d: %v", i, seed, err)
				}
			}
			if i%20 == 0 {
				c := a.open(t)
				a.add(t, "lobby", c, fmt.Sprint("user", i))
				if i%40 == 0 {
					b.add(t, "lobby", b.open(t), "ben")
				} else if _, err := a.LeaveAll(t.Context(), c, presence.Left); err != nil {
					t.Fatal(err)
				}
			}
		}
		redistest.Eventually(t, patience, func() error {
			redis, err := a.Snapshot(t.Context(), "lobby")
			if err != nil {
				return err
			}
			if view := w.Snapshot(); fmt.Sprint(view.Presences) != fmt.Sprint(redis.Presences) || view.Counts != redis.Counts {
				return fmt.Errorf("view %+v, Redis %+v", view, redis)
			}
			if counts.Counts() != redis.Counts {
				return fmt.Errorf("counts %+v, Redis %+v", counts.Counts(), redis.Counts)
			}
			return nil
		})
		// Those of Redis's kinds that decode are no rubbish to the bus.
		if got := b.Layer.Stats().Malformed; got < uint64(len(frames)) || got > uint64(2*len(frames)) {
			t.Errorf("%d malformed of %d frames on two topics", got, len(frames))
		}
		if got := b.Stats(); got.HandlerPanics != 0 {
			t.Errorf("%+v", got)
		}
	})
}

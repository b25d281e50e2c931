package presence

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// While a shard does not answer, callers that give up leave no writes behind.
func TestWhoGivesUpLeavesNoWrite(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client, g := s.NewClient(t), &gate{kind: ":index:"}
		n := newStrangerOn(t, client)
		client.AddHook(g)
		thawed := make(chan struct{})
		g.set(func(run func() error) error {
			<-thawed
			return run()
		})
		const writes, size = 300, 64 << 10
		before := heap()
		for i := range writes {
			ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := n.writers[0].do(ctx, luascripts.Op{
				Action: luascripts.Add, Room: "lobby", Short: strconv.Itoa(i), Record: luascripts.Record{Info: make([]byte, size)},
			})
			stop()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if after := heap(); after > before+writes*size/4 {
			t.Errorf("%d MiB are left", (after-before)>>20)
		}
		close(thawed)
		n.writers[0].queue.Wait()
	})
}

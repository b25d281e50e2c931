package prune_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/prune"
)

// afterRead calls then once, after a pipeline that has read a field.
type afterRead struct {
	field string
	then  func()
}

func (h *afterRead) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *afterRead) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *afterRead) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		reads := func(cmd redis.Cmder) bool { return slices.Contains(cmd.Args(), any(h.field)) }
		if then := h.then; then != nil && slices.ContainsFunc(cmds, reads) {
			h.then = nil
			then()
		}
		return err
	}
}

// An exclusive channel that was replaced has no record from then on, and an index
// entry until its node hears of it.
func TestAReplacedChannelIsNoDamage(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 4)
		prune.SetPatience(f.checker, time.Minute)
		f.fill()
		f.write(luascripts.Add, "den", "n1!7", "cleo")
		heard := &afterRead{field: "n2!2", then: func() { f.write(luascripts.Remove, "den", "n2!2", "") }}
		f.c.AddHook(heard)
		if got := f.check(); len(got) > 0 {
			t.Errorf("found %v", got)
		}
		if heard.then != nil {
			t.Error("the entry was not looked at")
		}
	})
}

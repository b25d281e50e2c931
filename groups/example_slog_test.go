package groups_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/rollcall-go/rollcall/groups"
)

// slogCore is a zap core that hands what is logged to a slog.Handler.
type slogCore struct{ slog.Handler }

func (c slogCore) Enabled(l zapcore.Level) bool {
	return c.Handler.Enabled(context.Background(), slogLevel(l))
}

func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{c.WithAttrs(attrs(fields))}
}

func (c slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(e.Level) {
		return ce
	}
	return ce.AddCore(e, c)
}

func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, e.Caller.PC)
	r.AddAttrs(attrs(fields)...)
	return c.Handle(context.Background(), r)
}

func (c slogCore) Sync() error { return nil }

// slogLevel: zap's debug, info, warn and error are -1, 0, 1 and 2, slog's -4, 0, 4
// and 8.
func slogLevel(l zapcore.Level) slog.Level { return slog.Level(4 * l) }

func attrs(fields []zapcore.Field) (all []slog.Attr) {
	for _, f := range fields {
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		for key, value := range m.Fields { // one; an error may have a second
			all = append(all, slog.Any(key, value))
		}
	}
	return all
}

// Who logs with slog passes a zap logger that is slog underneath. The levels are
// those of the slog.Handler.
func ExampleOptions_slog() {
	server, err := miniredis.Run() // yours is a Redis
	if err != nil {
		panic(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()

	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noTime}))

	ctx := context.Background()
	layer, err := groups.New(ctx, client, &groups.Options{
		NodeID: "web1", Capacity: 1, Logger: zap.New(slogCore{logger.With("app", "chat").Handler()}),
	})
	if err != nil {
		panic(err)
	}
	defer layer.Close(ctx)
	channel, err := layer.NewChannel()
	if err != nil {
		panic(err)
	}
	for range 3 { // nobody reads
		if err := layer.Send(ctx, channel.Name(), groups.Message{Type: "hello"}); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// level=WARN msg="mailbox is full" app=chat node=web1 channel=web1!1 capacity=1
	// rollcall: channel is full
	// rollcall: channel is full
}

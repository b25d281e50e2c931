package presence_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// 64 callers join 1,000 rooms, which the node hears already.
func BenchmarkJoin(b *testing.B) {
	const callers, rooms = 64, 1000
	layer, err := groups.New(b.Context(), redistest.Real(b).NewClient(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer layer.Close(context.Background())
	tracker, err := presence.New(b.Context(), layer, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer tracker.Close(context.Background())
	keeper, err := layer.NewChannel()
	if err != nil {
		b.Fatal(err)
	}
	room := func(i int) string { return fmt.Sprint("room", i%rooms) }
	for i := range rooms {
		if err := layer.GroupAdd(b.Context(), room(i), keeper.Name()); err != nil {
			b.Fatal(err)
		}
	}
	channels := make([]*groups.Channel, b.N)
	for i := range channels {
		if channels[i], err = layer.NewChannel(); err != nil {
			b.Fatal(err)
		}
	}
	info := []byte(`"` + strings.Repeat("i", 62) + `"`)
	var next atomic.Int64
	var joining sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		joining.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				_, _, err := tracker.Add(b.Context(), room(i), channels[i].Name(), presence.Member{User: channels[i].Name(), Info: info})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	joining.Wait()
	b.StopTimer()
}

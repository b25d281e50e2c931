package opentelemetry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/rollcall-go/rollcall/examples/opentelemetry"
	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

func TestANodeIsObserved(t *testing.T) {
	ctx := t.Context()
	spans := tracetest.NewSpanRecorder()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	reader := sdkmetric.NewManualReader()
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer client.Close()
	if err := opentelemetry.Instrument(client, traces, metrics); err != nil {
		t.Fatal(err)
	}
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close(context.Background())
	tracker, err := presence.New(ctx, layer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tracker.Close(context.Background())
	if err := opentelemetry.Observe(tracker, metrics); err != nil {
		t.Fatal(err)
	}
	channel, err := layer.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tracker.Add(ctx, "lobby", channel.Name(), presence.Member{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	request, root := traces.Tracer("test").Start(ctx, "request")
	if _, err := tracker.Users(request, "lobby"); err != nil {
		t.Fatal(err)
	}
	root.End()

	scripts, read := false, false
	for _, s := range spans.Ended() {
		scripts = scripts || strings.HasPrefix(s.Name(), "eval")
		read = read || s.Name() == "hkeys" && s.Parent().SpanID() == root.SpanContext().SpanID()
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.Emit(), "ann") {
				t.Errorf("span %s tells of a user: %v", s.Name(), a)
			}
		}
	}
	if !scripts || !read {
		t.Errorf("spans of scripts: %t, of a read within the request: %t", scripts, read)
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = true
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "rollcall.presences" && sum.DataPoints[0].Value != 1 {
				t.Errorf("presences: %+v", sum.DataPoints)
			}
		}
	}
	for _, name := range []string{"rollcall.presences", "rollcall.leaves", "db.client.connections.use_time"} {
		if !found[name] {
			t.Errorf("no metric %s among %v", name, found)
		}
	}
}

package presenceprometheus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presenceprometheus"
)

// watched has a node tell its health and its numbers.
func watched(mux *http.ServeMux, tracker *presence.Tracker) {
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		h := tracker.Health()
		if h.State == presence.Closed {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(h)
	})

	registry := prometheus.NewRegistry()
	registry.MustRegister(presenceprometheus.NewCollector(tracker))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
}

func ExampleNewCollector() {
	ctx := context.Background()
	server, err := miniredis.Run() // yours is a Redis
	if err != nil {
		panic(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		panic(err)
	}
	defer layer.Close(ctx)
	tracker, err := presence.New(ctx, layer, nil)
	if err != nil {
		panic(err)
	}
	defer tracker.Close(ctx)

	mux := http.NewServeMux()
	watched(mux, tracker)
	for _, path := range []string{"/readyz", "/metrics"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		body, _ := io.ReadAll(w.Body)
		fmt.Println(path, w.Code)
		for line := range strings.Lines(string(body)) {
			if strings.HasPrefix(line, "rollcall_presences ") || strings.HasPrefix(line, "rollcall_ready ") {
				fmt.Print(line)
			}
		}
	}
	// Output:
	// /readyz 200
	// /metrics 200
	// rollcall_presences 0
	// rollcall_ready 1
}

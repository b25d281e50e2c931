package presenceprometheus_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presenceprometheus"
)

// All nodes are degraded together: the load balancer must not take them out.
func TestADegradedNodeStaysReady(t *testing.T) {
	s := redistest.Mini(t)
	layer, err := groups.New(t.Context(), s.NewClient(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := presence.New(t.Context(), layer, &presence.Options{Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	watched(mux, tracker)
	answers := func(status int, state string) {
		t.Helper()
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != status || !strings.Contains(w.Body.String(), `"state":"`+state+`"`) {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, state)
		}
	}
	answers(http.StatusOK, "ready")
	s.Stop()
	redistest.Eventually(t, 20*time.Second, func() error {
		if tracker.Health().State != presence.Degraded {
			return errors.New("it has not noticed")
		}
		return nil
	})
	answers(http.StatusOK, "degraded")
	const away = `
# HELP rollcall_shards_away Shards that do not serve this node.
# TYPE rollcall_shards_away gauge
rollcall_shards_away 1
`
	if err := testutil.CollectAndCompare(presenceprometheus.NewCollector(tracker), strings.NewReader(away), "rollcall_shards_away"); err != nil {
		t.Error(err)
	}
	s.Start()
	if err := errors.Join(tracker.Close(t.Context()), layer.Close(t.Context())); err != nil {
		t.Error(err)
	}
	answers(http.StatusServiceUnavailable, "closed")
}

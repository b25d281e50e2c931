package presenceprometheus_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presenceprometheus"
)

// All nodes are degraded together: the load balancer must not take them out.
func TestADegradedNodeStaysReady(t *testing.T) {
	s := redistest.Mini(t)
	n := nodetest.Start(t, s.NewClient(t), nodetest.Options{Presence: &presence.Options{Lease: time.Second}})
	mux := http.NewServeMux()
	watched(mux, n.Tracker)
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
		if n.Health().State != presence.Degraded {
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
	if err := testutil.CollectAndCompare(presenceprometheus.NewCollector(n.Tracker), strings.NewReader(away), "rollcall_shards_away"); err != nil {
		t.Error(err)
	}
	s.Start()
	n.End(t)
	answers(http.StatusServiceUnavailable, "closed")
}

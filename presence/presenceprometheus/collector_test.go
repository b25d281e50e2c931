package presenceprometheus_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presenceprometheus"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// fixed is a node whose numbers are known.
type fixed presence.Stats

func (f fixed) Stats() presence.Stats { return presence.Stats(f) }

func TestCollector(t *testing.T) {
	c := presenceprometheus.NewCollector(fixed{
		Health:      presence.Health{State: presence.Ready},
		Layer:       groups.Stats{Channels: 3, Sent: 4, Delivered: 5, Overflowed: 6, Gaps: 7},
		Presences:   8,
		Leaves:      map[presence.Reason]uint64{presence.Left: 9, presence.NodeLost: 1},
		LeaseAge:    1500 * time.Millisecond,
		RedisErrors: map[string]uint64{"oom": 2},
		Scripts: map[string]presence.Timing{"write": {
			Calls: 3, Total: 12 * time.Millisecond,
			Buckets: []presence.Bucket{{Within: time.Millisecond, Calls: 1}, {Within: 5 * time.Millisecond, Calls: 2}},
		}},
	})
	const want = `
# HELP rollcall_connections Open channels of this node.
# TYPE rollcall_connections gauge
rollcall_connections 3
# HELP rollcall_presences Presences of this node's channels.
# TYPE rollcall_presences gauge
rollcall_presences 8
# HELP rollcall_ready 1 if all shards serve this node, else 0.
# TYPE rollcall_ready gauge
rollcall_ready 1
# HELP rollcall_lease_age_seconds Time since the lease was signed, in the shard where that is longest.
# TYPE rollcall_lease_age_seconds gauge
rollcall_lease_age_seconds 1.5
# HELP rollcall_sends_total Messages sent to channels and groups.
# TYPE rollcall_sends_total counter
rollcall_sends_total 4
# HELP rollcall_deliveries_total Messages that mailboxes of this node have taken.
# TYPE rollcall_deliveries_total counter
rollcall_deliveries_total 5
# HELP rollcall_bus_gaps_total Topics on which messages may have been missed, once for each lost connection.
# TYPE rollcall_bus_gaps_total counter
rollcall_bus_gaps_total 7
# HELP rollcall_drops_total Messages and frames that were dropped.
# TYPE rollcall_drops_total counter
rollcall_drops_total{cause="mailbox full"} 6
rollcall_drops_total{cause="malformed"} 0
rollcall_drops_total{cause="too many requests"} 0
rollcall_drops_total{cause="unknown channel"} 0
rollcall_drops_total{cause="unopened"} 0
# HELP rollcall_leaves_total Presences that this node removed or pruned.
# TYPE rollcall_leaves_total counter
rollcall_leaves_total{reason="left"} 9
rollcall_leaves_total{reason="node lost"} 1
# HELP rollcall_redis_errors_total Scripts and sends that failed.
# TYPE rollcall_redis_errors_total counter
rollcall_redis_errors_total{kind="oom"} 2
# HELP rollcall_script_duration_seconds How long this node has waited for scripts.
# TYPE rollcall_script_duration_seconds histogram
rollcall_script_duration_seconds_bucket{script="write",le="0.001"} 1
rollcall_script_duration_seconds_bucket{script="write",le="0.005"} 2
rollcall_script_duration_seconds_bucket{script="write",le="+Inf"} 3
rollcall_script_duration_seconds_sum{script="write"} 0.012
rollcall_script_duration_seconds_count{script="write"} 3
`
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	var names []string
	for line := range strings.Lines(want) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// A node that works is scraped, and a linter has nothing to say.
func TestCollectorOfANode(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := nodetest.Start(t, s.NewClient(t), nodetest.Options{})
		n.Enter(t, "lobby", "ann")
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(presenceprometheus.NewCollector(n.Tracker))
		problems, err := testutil.GatherAndLint(registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
		page := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text, _ := io.ReadAll(page.Body)
		for _, line := range []string{
			"rollcall_joins_total 1", "rollcall_presences 1", "rollcall_connections 1",
			`rollcall_leaves_total{reason="timed out"} 0`, `rollcall_redis_errors_total{kind="timeout"} 0`,
			`rollcall_script_duration_seconds_count{script="write"} 1`,
		} {
			if !strings.Contains(string(text), line+"\n") {
				t.Errorf("no line %q in\n%s", line, text)
			}
		}
	})
}

// Who does not import this package does not compile Prometheus's. Examples do.
func TestOnlyThisPackageImportsPrometheus(t *testing.T) {
	goCmd, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command")
	}
	const module = "github.com/rollcall-go/rollcall"
	out, err := exec.Command(goCmd, "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(string(out)) {
		name, deps, _ := strings.Cut(line, " ")
		uses := strings.Contains(deps, "github.com/prometheus/")
		if name == module+"/presence/presenceprometheus" {
			found = uses
		} else if uses && !strings.HasPrefix(name, module+"/examples/") {
			t.Errorf("%s depends on Prometheus's client", name)
		}
	}
	if !found {
		t.Error("the package itself was not among them")
	}
}

func TestThePageHasAllMetrics(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 100)
	presenceprometheus.NewCollector(fixed{}).Describe(descs)
	close(descs)
	for d := range descs {
		_, name, _ := strings.Cut(d.String(), `"`)
		name, _, _ = strings.Cut(name, `"`)
		if !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), "`"+name+"{") {
			t.Errorf("%s is not on the page", name)
		}
	}
}

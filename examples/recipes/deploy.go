package recipes

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// Deployment is what a node behind a load balancer does when it is replaced.
type Deployment struct {
	Layer   *groups.Layer
	Tracker *presence.Tracker
	// Notice is how long the load balancer takes to send nobody here any more.
	Notice time.Duration
	// Grace is longer than it takes the clients to come back, elsewhere.
	Grace time.Duration

	ending atomic.Bool
}

// Ready is for the load balancer's check: it fails before anybody is sent away.
func (d *Deployment) Ready(w http.ResponseWriter, _ *http.Request) {
	if d.ending.Load() || d.Tracker.Health().State == presence.Closed {
		http.Error(w, "going away", http.StatusServiceUnavailable)
	}
}

// End is called on SIGTERM. The sockets are closed with the code 1001, at which
// clients connect again: who is back within the grace has never gone.
func (d *Deployment) End(ctx context.Context) error {
	d.ending.Store(true)
	select {
	case <-time.After(d.Notice):
	case <-ctx.Done():
	}
	err := d.Tracker.Drain(ctx, d.Grace)
	return errors.Join(err, d.Layer.Close(ctx))
}

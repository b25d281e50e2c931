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
	// Notice is how long the load balancer takes to stop sending clients here.
	Notice time.Duration
	// Grace is longer than the clients need to come back elsewhere.
	Grace time.Duration

	ending atomic.Bool
}

// Ready is for the load balancer's check: it fails before anybody is sent away.
func (d *Deployment) Ready(w http.ResponseWriter, _ *http.Request) {
	if d.ending.Load() || d.Tracker.Health().State == presence.Closed {
		http.Error(w, "going away", http.StatusServiceUnavailable)
	}
}

// End is called on SIGTERM. It closes the sockets with the code 1001, upon which
// clients connect again: those that are back within the grace never appear to leave.
func (d *Deployment) End(ctx context.Context) error {
	d.ending.Store(true)
	select {
	case <-time.After(d.Notice):
	case <-ctx.Done():
	}
	err := d.Tracker.Drain(ctx, d.Grace)
	return errors.Join(err, d.Layer.Close(ctx))
}

package faults_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

const storm = "23"

var stormRows = []row{
	{storm, "all connections come again", reconnectStorm, everywhere},
}

// All connections drop at once, and their users come again on another node, in
// their grace: nobody hears that one of them went. Once more while Redis is
// restarted.
func reconnectStorm(t *testing.T, r run) {
	each := stormy / 4
	if r.name != server.name { // the machine has more servers to run
		each /= 4
	}
	// Who waits for the leave to be written is not touched any more.
	f := newFleet(t, r, setup{nodes: 4, args: nodeArgs{MaxAge: 2 * grace}})
	f.all(func(i int) crowd {
		return crowd{Join: each, Prefix: fmt.Sprint("home", i, "-"), Rooms: rooms, Try: patience}
	})
	f.agreed(time.Now(), patience, "")
	for turn, c := range []struct {
		what   string
		during func()
	}{
		{"dropped", func() {}},
		{"Redis restarts", func() {
			f.s.Stop()
			last(outage)
			f.s.Start()
		}},
	} {
		start := time.Now()
		var storm sync.WaitGroup
		storm.Go(func() {
			f.all(func(i int) crowd {
				home := (i + 1 + turn) % 4
				return crowd{Leave: true, Grace: grace, Join: each, Prefix: fmt.Sprint("home", home, "-"), Rooms: rooms, Try: patience}
			})
		})
		c.during()
		storm.Wait()
		f.within(c.what+", all back", start, grace)
		f.healed(time.Now(), grace+2*back+2*slack, c.what+", graces over") // to compare that many takes seconds
		for _, user := range f.wentSince(start) {
			if strings.HasPrefix(user, "home") {
				t.Errorf("row %s %s: told that %s went", r, c.what, user)
			}
		}
	}
	// Of the servers that were started again: all have come over the connections of
	// the pools, which may have been opened more than once.
	n, err := opened(t.Context(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	if n > 6*4*(pool+3)*f.s.Nodes() {
		t.Errorf("row %s: %d connections to Redis were opened", r, n)
	}
	f.finish()
}

// grace is longer than a storm takes.
const grace = 14 * time.Second

// all has the nodes do something with a crowd of their own, together.
func (f *fleet) all(crowdOf func(i int) crowd) {
	f.t.Helper()
	var work sync.WaitGroup
	for i, m := range f.nodes {
		work.Go(func() {
			if _, err := try[int](f, m, "crowd", crowdOf(i)); err != nil {
				f.t.Error(err)
			}
		})
	}
	work.Wait()
}

// wentSince are the users of whom watchers and handlers were told that they went.
func (f *fleet) wentSince(since time.Time) (users []string) {
	for _, m := range f.nodes {
		for _, e := range redistest.Events[event](m.Proc) {
			if e.At >= since.UnixMicro() {
				users = append(users, e.UserWent...)
			}
		}
	}
	return users
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// stopTime is how long the nodes have to say goodbye; Ctrl-C ends within 2 s.
const stopTime = 1300 * time.Millisecond

// supervise runs the fleet until ctx ends.
func supervise(ctx context.Context, set settings, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchGoRun(ctx, cancel)

	if err := checkPorts(set.port, set.nodes); err != nil {
		return err
	}
	where := redisName(set.redis)
	if set.redis == "" {
		embedded := miniredis.NewMiniRedis()
		embedded.ClockTTL(true)
		if err := embedded.StartAddr("127.0.0.1:0"); err != nil {
			return err
		}
		defer embedded.Close()
		set.redis = "redis://" + embedded.Addr()
		where = "embedded, at " + embedded.Addr()
	} else if err := checkRedis(ctx, set.redis); err != nil {
		return err
	}

	terminal := &terminal{out: out}
	fleet := newFleet(set, terminal)
	control, err := startControl(fleet)
	if err != nil {
		return err
	}
	defer control.stop()
	fleet.control = control

	// The nodes go before the Redis that they say goodbye to.
	var bots sync.WaitGroup
	defer bots.Wait()
	defer fleet.stop(stopTime)
	if err := fleet.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	terminal.welcome(fleet.status(), fleet.pids(), where)

	for i := range set.bots {
		bots.Go(func() { newBot(i, fleet).run(ctx) })
	}
	<-ctx.Done()
	return nil
}

// checkPorts runs before anything starts, so that the error is about the port and not
// about a node that failed.
func checkPorts(first, n int) error {
	for i := range n {
		port := first + i
		err := tryPort(port)
		if err == nil {
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("cannot listen for node %d: %w\nPass another first port with -port", i+1, err)
		}
		return fmt.Errorf("port %d, which node %d needs, is taken\nPass another first port, for example -port %d", port, i+1, freePorts(port, n))
	}
	return nil
}

func tryPort(port int) error {
	l, err := net.Listen("tcp", nodeAddress(port))
	if err != nil {
		return err
	}
	return l.Close()
}

// freePorts finds n free ports in a row after a taken one.
func freePorts(taken, n int) int {
	first := taken + 1
	for port := first; port-first < n; port++ {
		if port > 65535 {
			port, first = 18080, 18081
		} else if tryPort(port) != nil {
			first = port + 1
		}
	}
	return first
}

func nodeAddress(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// watchGoRun ends the fleet if it runs under `go run` and that is killed. `go run`
// forwards neither SIGTERM nor, of course, SIGKILL, and without this the fleet would go
// on and hold its ports.
func watchGoRun(ctx context.Context, cancel context.CancelFunc) {
	self, err := os.Executable()
	cache := os.Getenv("GOCACHE") // by default a folder named go-build
	if err != nil || !strings.Contains(filepath.ToSlash(self), "/go-build") && (cache == "" || !strings.HasPrefix(self, cache)) {
		return
	}
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel()
					return
				}
			}
		}
	}()
}

// terminal keeps the lines of several nodes whole.
type terminal struct {
	mu  sync.Mutex
	out io.Writer
}

func (t *terminal) welcome(nodes []nodeStatus, pids []int, redis string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "A fleet of %d, each node a process. Open a page on any of them:\n\n", len(nodes))
	for i, n := range nodes {
		fmt.Fprintf(t.out, "  node %d  %s  (pid %d)\n", n.Node, n.URL, pids[i])
	}
	fmt.Fprintf(t.out, "\nRedis is %s. Ctrl-C stops everything.\n\n", redis)
}

func (t *terminal) line(node int, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%s  node %d  %s\n", time.Now().Format(time.TimeOnly), node, text)
}

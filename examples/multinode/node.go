package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// goodbyeTime bounds how long a node takes to leave everything.
const goodbyeTime = time.Second

// node is one process of the fleet: a web server whose websockets are channels, with
// what the library keeps about them.
type node struct {
	config      nodeConfig
	hosts       []string // every host name that the fleet's pages may come from
	client      redis.UniversalClient
	layer       *groups.Layer
	tracker     *presence.Tracker
	pruner      *prune.Pruner
	log         *zap.Logger
	supervisor  *reports
	connections atomic.Int64
}

// runNode serves until ctx ends or the other end of in is closed.
func runNode(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	supervisor := &reports{out: out}

	input := bufio.NewReader(in)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("a node is started by the supervisor: %w", err)
	}
	var config nodeConfig
	if err := json.Unmarshal(line, &config); err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, input)
		cancel()
	}()
	// Whatever hangs on the way out, the process must end.
	context.AfterFunc(ctx, func() {
		time.AfterFunc(goodbyeTime+200*time.Millisecond, func() { os.Exit(1) })
	})

	n := &node{config: config, log: newLogger(config.Number), supervisor: supervisor}
	if err := n.run(ctx); err != nil {
		supervisor.send(nodeReport{Failed: err.Error()})
	}
	return nil
}

func newLogger(number int) *zap.Logger {
	encoder := zap.NewDevelopmentEncoderConfig()
	encoder.EncodeTime = zapcore.TimeEncoderOfLayout(time.TimeOnly)
	encoder.EncodeCaller = nil
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(os.Stderr), zapcore.WarnLevel)
	return zap.New(core).Named(fmt.Sprintf("node %d", number))
}

func (n *node) run(ctx context.Context) error {
	self, err := url.Parse(n.config.Fleet[n.config.Number-1])
	if err != nil {
		return err
	}
	for _, each := range n.config.Fleet {
		u, err := url.Parse(each)
		if err != nil {
			return err
		}
		n.hosts = append(n.hosts, u.Host, "localhost:"+u.Port())
	}
	listener, err := net.Listen("tcp", self.Host)
	if err != nil {
		return err
	}
	defer listener.Close()

	if n.client, err = openRedis(n.config.Redis); err != nil {
		return err
	}
	defer n.client.Close()
	if err := n.join(ctx); err != nil {
		return err
	}

	server := &http.Server{
		Handler:           n.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          zap.NewStdLog(n.log),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	var sweeper sync.WaitGroup
	sweeper.Go(func() { n.pruner.Run(ctx) })
	defer sweeper.Wait()
	n.supervisor.send(nodeReport{Ready: n.layer.NodeID()})

	select {
	case <-ctx.Done():
	case err = <-served:
	}
	// In order: nobody new, everybody out of their rooms in one step, and then their
	// channels end, which closes their sockets.
	goodbye, done := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
	defer done()
	listener.Close()
	err = errors.Join(ignoreClosed(err), n.tracker.Close(goodbye), n.layer.Close(goodbye))
	for n.connections.Load() > 0 && goodbye.Err() == nil {
		pause(goodbye, 5*time.Millisecond)
	}
	server.Close()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// join makes this process a node of the fleet.
func (n *node) join(ctx context.Context) error {
	var err error
	n.layer, err = groups.New(ctx, n.client, &groups.Options{
		Capacity: 256,
		// A page that cannot keep up joins anew; dropping what it is sent could leave
		// it with an old list.
		Overflow:   groups.CloseChannel,
		MaxPayload: 1 << 20, // the list of a large room
		Logger:     n.log,
	})
	if err != nil {
		return err
	}
	every := intervalsFor(n.config.MaxAge)
	n.tracker, err = presence.New(ctx, n.layer, &presence.Options{
		MaxAge:        n.config.MaxAge,
		Lease:         lease,
		FlushInterval: every.flush,
		OnChange:      n.changed,
		OnEvict:       n.evicted,
	})
	if err != nil {
		return err
	}
	n.pruner, err = prune.New(n.tracker, &prune.Options{Interval: every.sweep, Logger: n.log})
	return err
}

// lease is how long a node may be silent before the others take it for dead.
const lease = 10 * time.Second

// intervals are how often a node does what must be done several times within max age.
type intervals struct{ flush, sweep, ping time.Duration }

func intervalsFor(maxAge time.Duration) intervals {
	return intervals{
		flush: min(maxAge/20, 5*time.Second), // the library wants ten of them within max age
		sweep: min(max(maxAge/10, 500*time.Millisecond), 5*time.Second),
		ping:  min(maxAge/4, 15*time.Second),
	}
}

func (n *node) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", n.page())
	mux.HandleFunc("GET /ws/{room}", n.serveVisitor)
	mux.HandleFunc("GET /rooms/{room}", n.serveRoom)
	mux.HandleFunc("GET /rooms", n.serveRooms)
	mux.HandleFunc("GET /healthz", n.serveHealth)
	mux.Handle("GET /metrics", n.metrics())
	mux.HandleFunc("GET /fleet", n.serveFleet)
	mux.HandleFunc("POST /fleet/{node}/{action}", n.serveAction)
	return n.onlyFleet(mux)
}

// serveHealth reports that a node serves even while Redis is away: replacing all nodes
// then would disconnect everybody, and help nobody.
func (n *node) serveHealth(w http.ResponseWriter, _ *http.Request) {
	health, status := n.tracker.Health(), http.StatusOK
	if health.State == presence.Closed {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]any{"node": n.layer.NodeID(), "health": health})
}

// reports go to the supervisor, each on its own line.
type reports struct {
	mu  sync.Mutex
	out io.Writer
}

func (r *reports) send(report nodeReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	json.NewEncoder(r.out).Encode(report)
}

func (n *node) connected(by int64) {
	count := int(n.connections.Add(by))
	n.supervisor.send(nodeReport{Connections: &count})
}

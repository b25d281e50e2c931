package redistest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
)

// childEnv names the role that a test binary is started for.
const childEnv = "ROLLCALL_TEST_CHILD"

// A Role is what a test binary can be started again for, instead of its tests.
type Role struct {
	name string
	main func(ctx context.Context, p *Parent) error
}

// Child makes [Main] run main, and no tests, in a process of [Process]. Its
// context ends with SIGTERM. An error that it returns is printed, and is the
// process's end with status 1.
//
// Standard output belongs to the parent; what main prints there is shown with
// what it logs, if the test fails.
//
//	func TestMain(m *testing.M) { redistest.Main(m, redistest.Child("node", nodeMain)) }
//
//	func nodeMain(ctx context.Context, p *redistest.Parent) error {
//		var redisAddr string
//		if err := p.Args(&redisAddr); err != nil { ... }
//		redistest.Handle(p, "join", func(ctx context.Context, room string) (int, error) { ... })
//		return p.Serve(ctx)
//	}
//
//	func TestNodeDies(t *testing.T) {
//		node := redistest.Process(t, "node", link.Addr())
//		n, err := redistest.Call[int](t.Context(), node, "join", "lobby")
//		node.Kill()
//	}
func Child(name string, main func(ctx context.Context, p *Parent) error) Role {
	return Role{name, main}
}

// A Parent is a child's side of the two pipes. Its methods may be called
// concurrently.
type Parent struct {
	in       *json.Decoder
	args     json.RawMessage
	handlers map[string]handler

	mu  sync.Mutex
	out *json.Encoder
}

type handler func(ctx context.Context, args json.RawMessage) (any, error)

// The lines on the pipes: calls go down, answers and events come up.
type (
	call struct {
		ID   uint64          `json:"id"`
		Call string          `json:"call"`
		Args json.RawMessage `json:"args"`
	}
	answer struct {
		ID     uint64          `json:"id,omitempty"`
		Result json.RawMessage `json:"result,omitempty"`
		Error  string          `json:"error,omitempty"`
		Event  json.RawMessage `json:"event,omitempty"`
	}
)

// Args reads what was given to [Process].
func (p *Parent) Args(to any) error { return json.Unmarshal(p.args, to) }

// Handle answers the calls of one name. It must come before [Parent.Serve].
func Handle[Args, Result any](p *Parent, name string, f func(context.Context, Args) (Result, error)) {
	p.handlers[name] = func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args Args
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, err
		}
		return f(ctx, args)
	}
}

// Serve answers calls, each on a goroutine of its own, until ctx ends or the
// parent is gone, and returns when all have been answered.
func (p *Parent) Serve(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	calls := make(chan call)
	failed := make(chan error, 1)
	go func() {
		for {
			var c call
			if err := p.in.Decode(&c); err != nil {
				failed <- err
				return
			}
			select {
			case calls <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case c := <-calls:
			running.Go(func() { p.answer(ctx, c) })
		case err := <-failed:
			if err == io.EOF {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Parent) answer(ctx context.Context, c call) {
	a := answer{ID: c.ID}
	result, err := any(nil), fmt.Errorf("no handler for %q", c.Call)
	if f := p.handlers[c.Call]; f != nil {
		result, err = f(ctx, c.Args)
	}
	if err == nil {
		a.Result, err = json.Marshal(result)
	}
	if err != nil {
		a.Error = err.Error()
	}
	p.send(a)
}

// Emit tells the parent of an event. When Emit returns it has been written, and
// no kill takes it back.
func (p *Parent) Emit(event any) {
	raw, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	p.send(answer{Event: raw})
}

// send ignores errors: a parent that is gone does not miss it.
func (p *Parent) send(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Encode(a)
}

// runChild runs the role that this process was started for and ends it, or
// returns if it is none.
func runChild(roles []Role) {
	name, ok := os.LookupEnv(childEnv)
	if !ok {
		return
	}
	for _, r := range roles {
		if r.name == name {
			os.Exit(r.run())
		}
	}
	fmt.Fprintf(os.Stderr, "no child %q is given to Main\n", name)
	os.Exit(2)
}

func (r Role) run() int {
	ctx, stop := signal.NotifyContext(context.Background(), terminate)
	defer stop()
	p := &Parent{in: json.NewDecoder(os.Stdin), out: json.NewEncoder(os.Stdout), handlers: map[string]handler{}}
	os.Stdout = os.Stderr
	err := p.in.Decode(&p.args)
	if err == nil {
		err = r.main(ctx, p)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "child %s: %v\n", r.name, err)
		return 1
	}
	return 0
}

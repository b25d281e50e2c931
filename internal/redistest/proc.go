package redistest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// ErrGone is the error of a call to a process that has ended.
var ErrGone = errors.New("redistest: the process has ended")

// A Proc is a node of a fleet as a process of its own, for faults that are a
// process's. It is the test binary, started again in a role of [Main].
//
// Its methods fail the test when they cannot do what they promise, and must be
// called on the test's goroutine. [Call] and [Events] may be called anywhere.
type Proc struct {
	t      testing.TB
	name   string
	proc   *os.Process
	exited chan struct{}
	state  *os.ProcessState // once it has exited
	log    string
	calls  chan call
	read   chan struct{} // closed when all that it wrote is read
	killed bool

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan answer
	events  []json.RawMessage
}

// Process starts the child of that name that was given to [Main]. Args can be
// anything that JSON can carry. It is killed when the test ends, and on Linux
// with the test binary. The test fails if it ends with an error, or has a data
// race.
func Process(t testing.TB, name string, args any) *Proc {
	t.Helper()
	p := &Proc{
		t: t, name: name,
		exited: make(chan struct{}), read: make(chan struct{}),
		log: filepath.Join(t.TempDir(), name+".log"), calls: make(chan call),
		waiting: map[uint64]chan answer{},
	}
	if err := p.start(args); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(p.finish)
	return p
}

func (p *Proc) start(args any) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer log.Close()
	stdin, toChild, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	fromChild, stdout, err := os.Pipe()
	if err != nil {
		_ = toChild.Close()
		return err
	}
	defer stdout.Close()

	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), childEnv+"="+p.name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, log
	dieWithParent(cmd)
	exited := make(chan struct{})
	if p.proc, err = launch(cmd, exited); err != nil {
		_, _ = toChild.Close(), fromChild.Close()
		return err
	}
	go func() {
		<-exited
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	go p.write(toChild, args)
	go p.receive(fromChild)
	return nil
}

func (p *Proc) write(to *os.File, args any) {
	defer to.Close()
	out := json.NewEncoder(to)
	_ = out.Encode(args) // what it has not got, it cannot answer
	for {
		select {
		case c := <-p.calls:
			_ = out.Encode(c)
		case <-p.exited:
			return
		}
	}
}

func (p *Proc) receive(from *os.File) {
	defer close(p.read)
	defer from.Close()
	for in := json.NewDecoder(from); ; {
		var a answer
		if in.Decode(&a) != nil {
			return
		}
		p.mu.Lock()
		if waiting := p.waiting[a.ID]; waiting != nil {
			waiting <- a
		} else if a.Event != nil {
			p.events = append(p.events, a.Event)
		}
		p.mu.Unlock()
	}
}

// Call calls what the child has given to [Handle], and waits for the answer
// until ctx ends. Its own errors arrive as text.
func Call[Result any](ctx context.Context, p *Proc, name string, args any) (Result, error) {
	var result Result
	raw, err := p.call(ctx, name, args)
	if err == nil {
		err = json.Unmarshal(raw, &result)
	}
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", p.name, name, err)
	}
	return result, err
}

func (p *Proc) call(ctx context.Context, name string, args any) (json.RawMessage, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	answered := make(chan answer, 1)
	p.mu.Lock()
	p.last++
	c := call{ID: p.last, Call: name, Args: raw}
	p.waiting[c.ID] = answered
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, c.ID)
	}()

	calls := p.calls
	for {
		select {
		case calls <- c:
			calls = nil
		case a := <-answered:
			if a.Error != "" {
				return nil, errors.New(a.Error)
			}
			return a.Result, nil
		case <-p.read:
			select {
			case a := <-answered: // it was its last word
				answered <- a
				continue
			default:
				return nil, ErrGone
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Events returns all that the child has told by [Parent.Emit], in its order.
func Events[Event any](p *Proc) []Event {
	p.t.Helper()
	p.mu.Lock()
	raw := p.events[:len(p.events):len(p.events)]
	p.mu.Unlock()
	events := make([]Event, len(raw))
	for i := range raw {
		if err := json.Unmarshal(raw[i], &events[i]); err != nil {
			p.t.Errorf("event of %s: %v: %s", p.name, err, raw[i])
		}
	}
	return events
}

// PID returns the process id.
func (p *Proc) PID() int { return p.proc.Pid }

// Kill ends the process as kill -9 does. When Kill returns, all that it had told
// is in [Events].
func (p *Proc) Kill() {
	p.killed = true
	_ = p.proc.Kill()
	<-p.exited
	<-p.read
}

// Freeze stops the process as kill -STOP does, and Thaw lets it go on.
func (p *Proc) Freeze() { p.signal("freeze", suspend) }
func (p *Proc) Thaw()   { p.signal("thaw", resume) }

// Term asks the process to end, as a deploy does: the context of its main
// function ends. Wait waits until it has ended.
func (p *Proc) Term() {
	p.signal("end", func(proc *os.Process) error { return proc.Signal(terminate) })
}

// Wait waits until the process has ended, and returns its error if that was not
// in good order.
func (p *Proc) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
	case <-ctx.Done():
		return fmt.Errorf("%s goes on: %w", p.name, ctx.Err())
	}
	<-p.read
	if !p.state.Success() {
		return fmt.Errorf("%s: %v", p.name, p.state)
	}
	return nil
}

func (p *Proc) signal(verb string, send func(*os.Process) error) {
	p.t.Helper()
	if err := send(p.proc); err != nil {
		p.t.Fatalf("%s %s: %v", verb, p.name, err)
	}
}

// finish ends the process, and judges how it fared.
func (p *Proc) finish() {
	select {
	case <-p.read: // it ends, if it has not yet
		<-p.exited
		if !p.killed && !p.state.Success() {
			p.t.Errorf("%s ended: %v", p.name, p.state)
		}
	default:
	}
	p.Kill()
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Errorf("log of %s: %v", p.name, err)
	}
	if bytes.Contains(text, []byte("WARNING: DATA RACE")) {
		p.t.Errorf("%s has a data race", p.name)
	}
	if p.t.Failed() {
		p.t.Logf("log of %s:\n%s", p.name, text[max(0, len(text)-16<<10):])
	}
}

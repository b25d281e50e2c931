package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	errExited = errors.New("redistest: redis-server exited")
	errInUse  = errors.New("redistest: port in use")
)

// process is one redis-server: a port, a folder for its files, and the child
// process while it runs.
type process struct {
	path string
	port int
	dir  string
	args []string

	mu   sync.Mutex
	proc *os.Process   // nil unless running
	done chan struct{} // closed when proc has been waited for
}

// arguments returns what to add to the command line of a process whose files are
// in dir. It is called again with each port that is tried.
type arguments func(dir string) ([]string, error)

// newProcesses starts n processes, and returns those that it could start.
func newProcesses(path string, n int, args arguments) ([]*process, error) {
	all, errs := make([]*process, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { all[i], errs[i] = newProcess(path, args) })
	}
	wg.Wait()
	return slices.DeleteFunc(all, func(p *process) bool { return p == nil }), errors.Join(errs...)
}

// newProcess starts path on a free port.
func newProcess(path string, args arguments) (*process, error) {
	var err error
	for range 10 {
		var p *process
		if p, err = tryProcess(path, args); err == nil {
			return p, nil
		}
		if !errors.Is(err, errInUse) {
			break
		}
	}
	return nil, err
}

func tryProcess(path string, args arguments) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, err
	}
	p := &process{path: path, port: port, dir: dir}
	if p.args, err = args(dir); err == nil {
		err = p.start()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *process) address() string { return loopback(p.port) }

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil {
		return 0
	}
	return p.proc.Pid
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != nil {
		return nil
	}
	log, err := os.Create(p.log())
	if err != nil {
		return err
	}
	defer log.Close()

	args := append([]string{
		"--port", strconv.Itoa(p.port),
		"--bind", "127.0.0.1",
		"--dir", p.dir,
		"--daemonize", "no",
		"--save", "",
		"--appendonly", "no",
		"--enable-debug-command", "local",
		// From a copy that it sends without a file, a master waits up to a second until
		// it sends what is written since.
		"--repl-diskless-sync", "no",
		"--rdb-del-sync-files", "yes",
	}, adminArgs()...)
	more := p.args
	if len(more) > 0 && !strings.HasPrefix(more[0], "-") { // a configuration file comes first
		args, more = append([]string{more[0]}, args...), more[1:]
	}
	cmd := exec.Command(p.path, append(args, more...)...)
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd)

	p.done = make(chan struct{})
	if p.proc, err = launch(cmd, p.done); err != nil {
		p.proc = nil
		return err
	}
	if err := p.ready(); err != nil {
		text := p.tail()
		p.end()
		if strings.Contains(text, "in use") || errors.Is(err, errInUse) {
			return fmt.Errorf("%w: %d", errInUse, p.port)
		}
		return fmt.Errorf("%w; its log:\n%s", err, text)
	}
	return nil
}

// launch starts cmd on a thread that lives until the child has been waited for,
// then closes done. Linux ties the signal that a child gets when its parent
// dies to the thread that forked it, and Go ends idle threads as it likes.
func launch(cmd *exec.Cmd, done chan<- struct{}) (*os.Process, error) {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	err := <-started
	return cmd.Process, err
}

// ready waits until this very process answers: on a port that another one
// holds, that other one would.
func (p *process) ready() error {
	if err := poll(patience, p.accepts); err != nil {
		return err
	}
	return p.once(func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "server").Result()
		if err != nil { // what listens there does not speak Redis
			return fmt.Errorf("%w: %d: %w", errInUse, p.port, err)
		}
		if !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", p.proc.Pid)) {
			return fmt.Errorf("%w: %d", errInUse, p.port)
		}
		// It reads INFO while it loads its data, when it refuses all else.
		return poll(patience, func() error { return c.Ping(ctx).Err() })
	})
}

// accepts fails while nothing listens. A client would do, but go-redis writes
// a line to stderr for each refusal.
func (p *process) accepts() error {
	select {
	case <-p.done:
		return stopPolling{errExited}
	default:
	}
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		return err
	}
	return conn.Close()
}

func (p *process) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil {
		return nil
	}
	_ = resume(p.proc)
	err := p.once(func(ctx context.Context, c *redis.Client) error { return c.ShutdownSave(ctx).Err() })
	select {
	case <-p.done:
		p.proc = nil
		return nil
	case <-time.After(patience):
	}
	p.end()
	return fmt.Errorf("redistest: not shut down: %w", err)
}

func (p *process) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	// An earlier stop may have left one.
	return os.RemoveAll(p.dump())
}

// end kills the process, if there is one, and waits for it.
func (p *process) end() {
	if p.proc == nil {
		return
	}
	_ = p.proc.Kill()
	<-p.done
	p.proc = nil
}

func (p *process) freeze() error { return p.signal(suspend) }
func (p *process) thaw() error   { return p.signal(resume) }

func (p *process) signal(send func(*os.Process) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil {
		return errExited
	}
	return send(p.proc)
}

func (p *process) dropClients() error {
	return p.once(func(ctx context.Context, c *redis.Client) error {
		return errors.Join(killClients(ctx, c, "pubsub"), killClients(ctx, c, "normal"))
	})
}

// close ends the process and removes its files.
func (p *process) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	_ = os.RemoveAll(p.dir)
}

func (p *process) dump() string { return filepath.Join(p.dir, "dump.rdb") }
func (p *process) log() string  { return filepath.Join(p.dir, "redis.log") }

// tail returns the last lines of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
}

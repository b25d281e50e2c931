//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// exampleVariable makes the test binary the example itself, so that the
// processes under test are built as the test is, with -race or without.
const exampleVariable = "ROLLCALL_MULTINODE_EXAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(exampleVariable) != "" {
		main()
		os.Exit(0)
	}
	redistest.Main(m)
}

// slack is what a busy machine may add to what is promised.
const slack = 30 * time.Second

// testFleet is the example, running.
type testFleet struct {
	t    *testing.T
	cmd  *exec.Cmd
	urls []string
	pids []int

	mu     sync.Mutex
	output bytes.Buffer
	ended  chan struct{}
}

// startFleet runs the example without bots on free ports; args may say otherwise.
func startFleet(t *testing.T, args ...string) *testFleet {
	t.Helper()
	return startCommand(t, func(port string) *exec.Cmd {
		return exampleCommand(append([]string{"-bots", "0", "-port", port}, args...)...)
	})
}

// startCommand runs a command that starts the example on a free port.
func startCommand(t *testing.T, command func(port string) *exec.Cmd) *testFleet {
	t.Helper()
	for range 10 {
		f, err := tryFleet(t, command(strconv.Itoa(20000+rand.IntN(12000))))
		if err == nil {
			return f
		}
		if !strings.Contains(err.Error(), "is taken") {
			t.Fatal(err)
		}
	}
	t.Fatal("no free ports in a row")
	return nil
}

func exampleCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	// The race detector would make each process wait for a second at its end.
	cmd.Env = append(os.Environ(), exampleVariable+"=1", "REDIS_URL=", "GORACE=atexit_sleep_ms=0")
	return cmd
}

var welcomeLine = regexp.MustCompile(`node \d+  (http://127\.0\.0\.1:\d+)  \(pid (\d+)\)`)

func tryFleet(t *testing.T, cmd *exec.Cmd) (*testFleet, error) {
	f := &testFleet{t: t, cmd: cmd, ended: make(chan struct{})}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	serves := make(chan struct{})
	go func() {
		defer close(f.ended)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			f.mu.Lock()
			fmt.Fprintln(&f.output, lines.Text())
			f.mu.Unlock()
			if m := welcomeLine.FindStringSubmatch(lines.Text()); m != nil {
				pid, _ := strconv.Atoi(m[2])
				f.urls, f.pids = append(f.urls, m[1]), append(f.pids, pid)
			}
			if strings.Contains(lines.Text(), "Ctrl-C stops everything") {
				close(serves)
			}
		}
		cmd.Wait()
	}()
	t.Cleanup(func() {
		f.interrupt()
		select {
		case <-f.ended:
		case <-time.After(slack):
			t.Error("the fleet does not stop")
			for _, pid := range append(f.pids, cmd.Process.Pid) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			<-f.ended
		}
		if t.Failed() {
			t.Logf("the example said:\n%s%s", f.said(), stderr.String())
		}
	})
	select {
	case <-serves:
		return f, nil
	case <-f.ended:
		return nil, errors.New(stderr.String())
	case <-time.After(5 * time.Minute): // which `go run` may need to build it
		return nil, errors.New("the fleet did not start")
	}
}

func (f *testFleet) interrupt() { f.cmd.Process.Signal(os.Interrupt) }

func (f *testFleet) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.output.String()
}

// waitSaid waits for a line in the terminal.
func (f *testFleet) waitSaid(pattern string) {
	f.t.Helper()
	line := regexp.MustCompile(`(?m)^.*` + pattern + `.*$`)
	redistest.Eventually(f.t, slack, func() error {
		if !line.MatchString(f.said()) {
			return fmt.Errorf("the terminal does not say %q", pattern)
		}
		return nil
	})
}

// url is an address on node number, counted from 1.
func (f *testFleet) url(number int, path string) string { return f.urls[number-1] + path }

func (f *testFleet) get(number int, path string, into any) int {
	f.t.Helper()
	return f.do(http.MethodGet, f.url(number, path), nil, into)
}

// act presses one of the page's buttons.
func (f *testFleet) act(through, number int, action string) {
	f.t.Helper()
	if status := f.do(http.MethodPost, f.url(through, fmt.Sprintf("/fleet/%d/%s", number, action)), nil, nil); status != http.StatusAccepted {
		f.t.Fatalf("%s of node %d: status %d", action, number, status)
	}
}

func (f *testFleet) do(method, url string, header http.Header, into any) int {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), slack)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for key, values := range header {
		request.Header[key] = values
	}
	request.Host = header.Get("Host")
	request.Close = true // idle connections would look like leaks
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			f.t.Fatalf("%s %s: %v in %q", method, url, err, body)
		}
	}
	return response.StatusCode
}

// waitState waits until the fleet says so of a node.
func (f *testFleet) waitState(through, number int, state string) {
	f.t.Helper()
	redistest.Eventually(f.t, slack, func() error {
		var status fleetStatus
		f.get(through, "/fleet", &status)
		if got := status.Nodes[number-1].State; got != state {
			return fmt.Errorf("node %d is %s, not %s", number, got, state)
		}
		return nil
	})
}

// isAlive is whether a process exists and is not a zombie.
func isAlive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || !isDirectory("/proc/self")
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(rest, []byte("Z"))
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

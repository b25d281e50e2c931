package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// nodeVariable makes this program a node if it is set.
const nodeVariable = "ROLLCALL_MULTINODE_NODE"

// nodeConfig is the first line of a node's standard input. The supervisor holds that
// pipe open as long as it lives: its end tells a node that nobody looks after it any
// more, however the supervisor ended.
type nodeConfig struct {
	Number  int           `json:"number"`
	Redis   string        `json:"redis"`
	MaxAge  time.Duration `json:"max_age"`
	Fleet   []string      `json:"fleet"`   // every node's URL, this one's at Number-1
	Control string        `json:"control"` // URL of the supervisor's control
	Token   string        `json:"token"`   // for the control
}

// nodeReport is one line of a node's standard output.
type nodeReport struct {
	Ready       string `json:"ready,omitempty"`       // it serves: its id in Redis
	Failed      string `json:"failed,omitempty"`      // it could not start: the reason
	Connections *int   `json:"connections,omitempty"` // how many it holds now
	Line        string `json:"line,omitempty"`        // something to show in the terminal
}

// process is a node's operating-system process.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when the process has ended
}

// startProcess runs this program as a node. Reports arrive in order, the last one
// before done is closed.
func startProcess(config nodeConfig, report func(nodeReport)) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", nodeVariable, config.Number))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = nodeAttributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// On Linux a child's parent is the thread that started it, which must therefore
		// live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r nodeReport
			if json.Unmarshal(lines.Bytes(), &r) == nil {
				report(r)
			}
		}
		cmd.Wait()
		stdin.Close()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	// If a node ends before it has read this, done tells.
	json.NewEncoder(stdin).Encode(config)
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill is kill -9: the node does nothing more, not even say goodbye.
func (p *process) kill() { p.cmd.Process.Kill() }

// terminate asks the node to stop in an orderly way.
func (p *process) terminate() {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.stdin.Close() // not every system has signals; this also ends a node
	}
}

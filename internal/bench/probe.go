package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeArg makes this program a probe, which is a process of its own: in this
// one it would wait for the work that it is to watch.
const probeArg = "probe"

// probe is a PING every millisecond, and the longest that one has taken.
type probe struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProbe(addr string) (*probe, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &probe{cmd: exec.Command(path, probeArg, addr)}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	_, err = p.out.ReadString('\n') // it has begun
	return p, err
}

// stop returns the median and the longest answer.
func (p *probe) stop() (typical, longest time.Duration, err error) {
	p.in.Close()
	line, readErr := p.out.ReadString('\n')
	if err := p.cmd.Wait(); err != nil {
		return 0, 0, err
	}
	if readErr != nil {
		return 0, 0, readErr
	}
	first, second, _ := strings.Cut(strings.TrimSpace(line), " ")
	if typical, err = time.ParseDuration(first); err != nil {
		return 0, 0, err
	}
	longest, err = time.ParseDuration(second)
	return typical, longest, err
}

// runProbe is the program that startProbe starts.
func runProbe(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	fmt.Println("begun")
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	var took []time.Duration
	for {
		select {
		case <-over:
			slices.Sort(took)
			fmt.Println(quantile(took, 0.5), took[len(took)-1])
			return nil
		case <-ticker.C:
		}
		start := time.Now()
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		if _, err := in.ReadString('\n'); err != nil {
			return err
		}
		took = append(took, time.Since(start))
	}
}

// slowest is the longest command in the SLOWLOG, 0 if none was logged.
func slowest(ctx context.Context, client *redis.Client) (time.Duration, error) {
	logged, err := client.SlowLogGet(ctx, -1).Result()
	var longest time.Duration
	for _, l := range logged {
		if name := strings.ToUpper(strings.Join(l.Args[:min(1, len(l.Args))], "")); name == "FLUSHALL" || name == "INFO" {
			continue
		}
		longest = max(longest, l.Duration)
	}
	return longest, err
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server of this process's own, on a free loopback port.
type server struct {
	addr   string
	dir    string
	proc   *os.Process
	exited chan struct{}
}

func startServer(ctx context.Context) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if path, err = exec.LookPath("valkey-server"); err != nil {
			return nil, errors.New("neither redis-server nor valkey-server is in PATH")
		}
	}
	for range 10 {
		var s *server
		if s, err = tryServer(ctx, path); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func tryServer(ctx context.Context, path string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	s := &server{addr: addr.String(), dir: dir, exited: make(chan struct{})}
	cmd := exec.Command(path, "--port", strconv.Itoa(addr.Port), "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "no", "--slowlog-log-slower-than", "500", "--slowlog-max-len", "1024",
		"--client-output-buffer-limit", "pubsub 1gb 0 0", "--maxclients", "20000", "--loglevel", "warning")
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// Linux ties the signal of a parent's death to the thread that forked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	s.proc = cmd.Process
	if err := s.ready(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// ready waits until this very process answers, not another on its port.
func (s *server) ready(ctx context.Context) error {
	client := s.client()
	defer client.Close()
	deadline := time.Now().Add(10 * time.Second)
	for {
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server exited, port %s may be taken", s.addr)
		default:
		}
		id, err := info(ctx, client, "server", "process_id")
		if err == nil {
			if id != float64(s.proc.Pid) {
				return fmt.Errorf("another process answers on %s", s.addr)
			}
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr})
}

// stop ends the process and removes its files.
func (s *server) stop() {
	_ = s.proc.Kill()
	<-s.exited
	_ = os.RemoveAll(s.dir)
}

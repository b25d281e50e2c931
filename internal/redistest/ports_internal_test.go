package redistest

import (
	"errors"
	"net"
	"testing"
)

func TestFreePortIsHandedOutOnce(t *testing.T) {
	seen := map[int]bool{}
	for range len(promised.ports) {
		port, err := freePort()
		if err != nil || seen[port] {
			t.Fatalf("port %d again, %v", port, err)
		}
		seen[port] = true
	}
}

// While a process lives, another that would use the same part takes the next.
func TestPartsAreClaimed(t *testing.T) {
	c := firstPort()
	if c.held == nil {
		t.Skip("all parts are claimed by others")
	}
	if _, err := net.Listen("tcp", loopback(c.port)); err == nil {
		t.Error("the part can be claimed again")
	}
	port, err := freePort()
	if err != nil || port <= c.port || port >= c.port+partSize {
		t.Errorf("port %d of the part from %d, %v", port, c.port, err)
	}
}

// A port that was free may be taken by what does not speak Redis.
func TestServerOnAPortThatIsTaken(t *testing.T) {
	path := serverPath(t)
	l, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	p := &process{path: path, port: l.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	defer p.close()
	if err := p.start(); !errors.Is(err, errInUse) {
		t.Fatal(err)
	}
}

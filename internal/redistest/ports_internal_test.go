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

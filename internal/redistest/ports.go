package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
)

// Ports are taken from below the range that systems hand out to outgoing
// connections: otherwise a client could take the port of a server that is
// stopped for a moment.
//
// Test processes that run beside each other take them from different parts of it, so
// that none takes a port of a server of another that is stopped for a moment.
const (
	lowestPort = 20000
	parts      = 16
	partSize   = 790
)

var errNoPort = errors.New("redistest: no free loopback port")

// freePort returns a loopback port that nothing listens on just now. Another
// process may take it before the caller does, who must then try again.
func freePort() (int, error) {
	for range 200 {
		port := firstPort().port + 1 + rand.IntN(partSize-1)
		if !promised.add(port) {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errNoPort
}

// claim is the first port of a part, on which this process listens as long as it lives
// to keep others from the part.
type claim struct {
	port int
	held net.Listener // nil if all parts are claimed, and this one is shared
}

var firstPort = sync.OnceValue(func() claim {
	for i := range parts {
		port := lowestPort + (os.Getpid()+i)%parts*partSize
		if l, err := net.Listen("tcp", loopback(port)); err == nil {
			return claim{port, l}
		}
	}
	return claim{port: lowestPort + os.Getpid()%parts*partSize}
})

// promised is global because the servers of all tests of a process start beside
// each other.
var promised promises

// promises are the ports handed out last: whoever has one may not listen yet.
type promises struct {
	mu    sync.Mutex
	ports [128]int
	next  int
}

func (p *promises) add(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.ports[:], port) {
		return false
	}
	p.ports[p.next%len(p.ports)] = port
	p.next++
	return true
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below the range that systems hand out to outgoing
// connections: otherwise a client could take the port of a server that is
// stopped for a moment.
const (
	lowestPort  = 20000
	highestPort = 32700
)

var errNoPort = errors.New("redistest: no free loopback port")

// freePort returns a loopback port that nothing listens on just now. Another
// process may take it before the caller does, who must then try again.
func freePort() (int, error) {
	for range 200 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errNoPort
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

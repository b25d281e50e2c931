package redistest

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A stream is one direction of a connection: bytes with a bound, a writer and a
// reader, and the faults of the network between them.
type stream struct {
	limit  int // how much one may write before the other reads
	random *rand.Rand

	mu             sync.Mutex
	cond           *sync.Cond
	chunks         []chunk
	size           int
	arrival        *time.Timer // wakes the reader for a delayed chunk
	reader, writer side

	faults faults
	deaf   bool // the other direction is blocked: the writer hears of no end
	lost   bool // bytes were swallowed, and what follows them makes no sense
	reset  bool // the connection was cut
}

// faults are what happens to all that takes one direction.
type faults struct {
	flow          flow
	delay, jitter time.Duration
}

type flow int

const (
	flows     flow = iota
	frozen         // held back
	swallowed      // lost
)

// A chunk is bytes and when they arrive: at once if zero.
type chunk struct {
	data []byte
	at   time.Time
}

// A side is the reader or the writer.
type side struct {
	gone     bool
	deadline time.Time
	timer    *time.Timer
}

func (s *side) late() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

func newStream(limit int, seed1, seed2 uint64) *stream {
	s := &stream{limit: limit, random: rand.New(rand.NewPCG(seed1, seed2))}
	s.cond = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.reader.gone:
			return 0, net.ErrClosed
		case s.reset:
			return 0, errReset("read")
		case s.reader.late():
			return 0, os.ErrDeadlineExceeded
		case s.faults.flow != flows:
			// Nothing arrives, not even the end.
		case len(p) == 0:
			return 0, nil
		case len(s.chunks) > 0:
			if n := s.take(p); n > 0 {
				return n, nil
			}
		case s.writer.gone:
			return 0, io.EOF
		}
		s.cond.Wait()
	}
}

// take moves what has arrived to p. If nothing has, it sees to it that the
// reader is woken when something does.
func (s *stream) take(p []byte) int {
	head := &s.chunks[0]
	if !head.at.IsZero() {
		if wait := time.Until(head.at); wait > 0 {
			if s.arrival != nil {
				s.arrival.Stop()
			}
			s.arrival = time.AfterFunc(wait, s.wake)
			return 0
		}
	}
	n := copy(p, head.data)
	s.size -= n
	if head.data = head.data[n:]; len(head.data) == 0 {
		s.chunks = s.chunks[1:]
	}
	if len(s.chunks) == 0 {
		s.chunks = nil
	}
	s.cond.Broadcast()
	return n
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writer.gone:
			return n, net.ErrClosed
		case s.reset:
			return n, errReset("write")
		case s.reader.gone && !s.deaf:
			return n, io.ErrClosedPipe
		case s.writer.late():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		case s.reader.gone || s.faults.flow == swallowed:
			s.lost = true
			return n + len(p), nil
		}
		if room := min(s.limit-s.size, len(p)); room > 0 {
			s.put(p[:room])
			p, n = p[room:], n+room
			s.cond.Broadcast()
			continue
		}
		s.cond.Wait()
	}
}

func (s *stream) put(p []byte) {
	s.size += len(p)
	at := s.arrivalTime()
	// What is due no later than the last chunk waits for that anyway.
	if last := len(s.chunks) - 1; last >= 0 && !at.After(s.chunks[last].at) {
		s.chunks[last].data = append(s.chunks[last].data, p...)
		return
	}
	s.chunks = append(s.chunks, chunk{append([]byte(nil), p...), at})
}

func (s *stream) arrivalTime() time.Time {
	delay := s.faults.delay
	if s.faults.jitter > 0 {
		delay += time.Duration(s.random.Int64N(int64(s.faults.jitter)))
	}
	if delay == 0 {
		return time.Time{}
	}
	return time.Now().Add(delay)
}

// suffer sets the faults. Deaf tells whether the other direction is blocked. It
// reports whether the connection flows again, but has lost something.
func (s *stream) suffer(f faults, deaf bool) (broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.deaf = f, deaf
	if f.flow == swallowed && s.size > 0 {
		s.chunks, s.size, s.lost = nil, 0, true
	}
	if f.delay == 0 && f.jitter == 0 {
		for i := range s.chunks {
			s.chunks[i].at = time.Time{}
		}
	}
	if s.lost && f.flow == flows && !deaf {
		broken, s.reset = true, true
	}
	s.cond.Broadcast()
	return broken
}

// cut breaks the stream: both sides get an error, and what was under way is
// lost.
func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset, s.chunks, s.size = true, nil, 0
	s.cond.Broadcast()
}

func (s *stream) setDeadline(who *side, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who.deadline = at
	if who.timer != nil {
		who.timer.Stop()
		who.timer = nil
	}
	if wait := time.Until(at); !at.IsZero() && wait > 0 && !who.gone {
		who.timer = time.AfterFunc(wait, s.wake)
	}
	s.cond.Broadcast()
}

// wake takes the lock so that it cannot fall between a waiter's look at the
// time and its wait.
func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

func (s *stream) close(who *side) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who.gone = true
	if who.timer != nil {
		who.timer.Stop()
	}
	s.cond.Broadcast()
}

func errReset(op string) error {
	return &net.OpError{Op: op, Net: "memory", Err: os.NewSyscallError(op, syscall.ECONNRESET)}
}

package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

var (
	// errClosed ends a session whose peer closed the connection normally.
	errClosed = errors.New("heartbeat: closed by the peer")
	// errExited ends a session whose handler ended its goroutine (runtime.Goexit).
	errExited = fmt.Errorf("%w: exited its goroutine", ErrHandler)
)

// session is one run of Serve: a reader, a writer and a pinger, any of which can end
// it, and the caller, which then cleans up.
type session[M, S ~int] struct {
	conn     Conn[M, S]
	presence Presence
	ch       Mailbox
	handler  Handler[M]
	opts     Options

	ctx   context.Context // ends with the session; its cause says why
	end   context.CancelCauseFunc
	tasks sync.WaitGroup

	mu      sync.Mutex     // held while a handler begins
	running sync.WaitGroup // handlers
	turns   atomic.Uint64  // odd while nobody reads
	readErr error          // of the reader, to be read when all tasks are done
}

// start runs a part of the session. Its return ends the session.
func (s *session[M, S]) start(part func() error) {
	s.tasks.Go(func() {
		err := errExited
		defer func() { s.end(err) }()
		err = part()
	})
}

func (s *session[M, S]) read() error {
	s.turns.Add(1)
	if err := s.connect(); err != nil {
		return err
	}
	s.turns.Add(1)
	s.start(s.write)
	if s.handler.Run != nil {
		s.tasks.Go(s.run)
	}
	if s.opts.PingInterval > 0 {
		s.start(s.ping)
	}

	receive := TouchPresence(s.presence, s.ch.Name(), s.receive)
	// A read whose context ends drops the connection without a close frame, so only
	// closing the connection ends the read.
	ctx := context.WithoutCancel(s.ctx)
	for {
		typ, data, err := s.conn.Read(ctx)
		s.turns.Add(1)
		switch {
		case err != nil && closedNormally[S](err):
			s.readErr = errClosed
			return s.readErr
		case err != nil:
			s.readErr = fmt.Errorf("%w: read: %w", ErrConn, err)
			return s.readErr
		case s.ctx.Err() != nil:
			return nil
		}
		if err := receive(s.ctx, typ, data); err != nil {
			return err
		}
		s.turns.Add(1)
	}
}

func (s *session[M, S]) connect() error {
	if s.handler.Connect == nil {
		return nil
	}
	return s.call("connect", s.handler.Connect)
}

// run does not end the session when it returns nil, nor with an error once the channel
// is closed, whose remaining messages are to be delivered.
func (s *session[M, S]) run() {
	err := errExited
	defer func() {
		if err != nil && s.ch.Err() == nil {
			s.end(err)
		}
	}()
	err = s.callFor(0, "run", s.handler.Run)
}

func (s *session[M, S]) receive(_ context.Context, typ M, data []byte) error {
	if s.handler.Receive == nil {
		return nil
	}
	return s.call("receive", func(ctx context.Context) error {
		return s.handler.Receive(ctx, typ, data)
	})
}

func (s *session[M, S]) write() error {
	for s.ctx.Err() == nil {
		m, err := s.ch.Receive(s.ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrChannel, err)
		}
		typ, data := M(messageText), m.Payload
		if s.handler.Deliver != nil {
			err := s.call("deliver", func(ctx context.Context) (err error) {
				typ, data, err = s.handler.Deliver(ctx, m)
				return err
			})
			if err != nil {
				return err
			}
			if data == nil {
				continue
			}
		}
		if err := s.send(typ, data); err != nil {
			return err
		}
	}
	return nil
}

// send ends the session itself when time is up. With a deadline in its context the
// library would drop the connection first, and the reader could not tell why.
func (s *session[M, S]) send(typ M, data []byte) error {
	timer := time.AfterFunc(s.opts.WriteTimeout, func() {
		s.end(fmt.Errorf("%w: message not taken within %s", ErrDeadPeer, s.opts.WriteTimeout))
	})
	defer timer.Stop()
	if err := s.conn.Write(context.WithoutCancel(s.ctx), typ, data); err != nil {
		return fmt.Errorf("%w: write: %w", ErrConn, err)
	}
	return nil
}

func (s *session[M, S]) ping() error {
	return keepAlive(s.ctx, s.opts.PingInterval, s.opts.PingTimeout, func(ctx context.Context) error {
		before := s.turns.Load()
		err := ping(ctx, s.conn)
		if err == nil {
			s.presence.Touch(s.ch.Name())
			return nil
		}
		// A pong waits to be read while a handler runs. Only a silence that was
		// listened to from end to end is the peer's.
		if after := s.turns.Load(); errors.Is(err, ErrDeadPeer) && (after != before || after%2 == 1) {
			return nil
		}
		return err
	})
}

// call runs a handler within the time limit, unless the session has ended.
func (s *session[M, S]) call(name string, handler func(context.Context) error) error {
	return s.callFor(s.opts.HandlerTimeout, name, handler)
}

func (s *session[M, S]) callFor(limit time.Duration, name string, handler func(context.Context) error) error {
	if !s.begin() {
		return context.Cause(s.ctx)
	}
	defer s.running.Done()
	ctx := s.ctx
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	err := s.guard(name, func() error { return handler(ctx) })
	if err == nil {
		return nil
	}
	if s.ch.Err() != nil { // before the handler failed, and usually the reason why it did
		s.log().Debug("handler failed once its channel was closed", zap.String("handler", name), zap.Error(err))
		return s.channelEnded()
	}
	return fmt.Errorf("%w: %s: %w", ErrHandler, name, err)
}

func (s *session[M, S]) channelEnded() error { return fmt.Errorf("%w: %w", ErrChannel, s.ch.Err()) }

func (s *session[M, S]) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.running.Add(1)
	return true
}

// guard turns a panic into an error, so that what follows a handler still happens.
func (s *session[M, S]) guard(name string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			caught := &PanicError{Value: v, Stack: debug.Stack()}
			s.opts.Logger.Error("handler panicked", zap.String("channel", s.ch.Name()),
				zap.String("handler", name), zap.Any("panic", v), zap.ByteString("stack", caught.Stack))
			err = caught
		}
	}()
	return f()
}

// drain lets the writer deliver what a closed channel still holds, after which it ends
// the session. It has as long as one message may take.
func (s *session[M, S]) drain() {
	if !within(s.opts.WriteTimeout, s.ctx.Done()) {
		s.end(s.channelEnded())
	}
}

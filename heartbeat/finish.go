package heartbeat

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
)

// finish cleans up after a session that has ended. It closes the channel before it
// leaves, so that nobody adds it to a room after that. It leaves without waiting for the
// peer, and calls Disconnect once nothing else runs.
func (s *session[M, S]) finish(cause error) error {
	if err := s.ch.Close(); err != nil {
		s.log().Warn("cannot close channel", zap.Error(err))
	}
	s.tasks.Go(func() { s.close(cause) })

	idle := s.idle()
	late := !within(s.opts.LeaveTimeout, idle)
	left := s.leave(cause)
	if late {
		s.log().Warn("handler runs on although its context has ended")
		<-idle
		// The leave may have waited in vain for what the handler did.
		left = s.leave(cause)
	}
	s.tasks.Wait()

	// The writer or the pinger may notice first that the connection is gone; only the
	// reader knows why.
	if errors.Is(cause, ErrConn) && s.readErr != nil {
		cause = s.readErr
	}
	if errors.Is(cause, errClosed) {
		cause = nil
	}
	if failed := errors.Join(left, s.disconnect(cause)); failed != nil {
		return errors.Join(cause, failed)
	}
	return cause
}

// close closes the socket, which makes the reader, the writer and the pinger return.
// The handshake takes as long as the library allows.
func (s *session[M, S]) close(cause error) {
	var err error
	switch {
	case errors.Is(cause, errClosed), errors.Is(cause, ErrDeadPeer):
		err = s.conn.CloseNow()
	default:
		code, reason := statusFor(cause)
		err = s.conn.Close(S(code), reason)
	}
	s.log().Debug("connection ended", zap.NamedError("cause", cause), zap.NamedError("close", err))
}

// idle returns a channel that is closed once no handler runs. The session has ended, so
// none starts.
func (s *session[M, S]) idle() <-chan struct{} {
	idle := make(chan struct{})
	s.tasks.Go(func() {
		s.mu.Lock()
		running := &s.running // a handler that begins after this lock sees that the session has ended
		s.mu.Unlock()
		running.Wait()
		close(idle)
	})
	return idle
}

func within(limit time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func (s *session[M, S]) leave(cause error) error {
	err := s.guard("leave", func() error {
		return leaveAll(s.ctx, s.presence, s.ch.Name(), cause, s.graceFor(cause), s.opts.LeaveTimeout)
	})
	if err != nil {
		s.log().Warn("cannot leave", zap.Error(err))
		return fmt.Errorf("heartbeat: leave: %w", err)
	}
	return nil
}

// losses are the causes for which the application is not to blame. A handler that writes
// may find that the connection is gone, too.
var losses = []error{
	errClosed, ErrConn, ErrDeadPeer, groups.ErrClosed, groups.ErrChannelFull,
	net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET,
}

// graceFor returns how long the presences stay: not at all if the application ended the
// connection.
func (s *session[M, S]) graceFor(cause error) time.Duration {
	var asked CloseError
	isCause := func(loss error) bool { return errors.Is(cause, loss) }
	if slices.ContainsFunc(losses, isCause) || closedNormally[S](cause) && !errors.As(cause, &asked) {
		return s.opts.Grace
	}
	return 0
}

func (s *session[M, S]) disconnect(cause error) error {
	if s.handler.Disconnect == nil {
		return nil
	}
	ctx, cancel := outlive(s.ctx, s.opts.LeaveTimeout)
	defer cancel()
	err := s.guard("disconnect", func() error {
		s.handler.Disconnect(ctx, cause)
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: disconnect: %w", ErrHandler, err)
	}
	return nil
}

func (s *session[M, S]) log() *zap.Logger {
	return s.opts.Logger.With(zap.String("channel", s.ch.Name()))
}

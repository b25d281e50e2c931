package redistest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipeDeliversWhatWasWrittenBeforeClose(t *testing.T) {
	client, server := ends(newPipe(pipeBuffer, 0))
	sent := bytes.Repeat([]byte("presence"), 1000)
	if n, err := client.Write(sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	_ = client.Close()
	if got, err := io.ReadAll(server); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes: %v", len(got), len(sent), err)
	}
	if _, err := server.Write(sent); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("write to a closed peer: %v", err)
	}
	if _, err := client.Read(sent); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read after close: %v", err)
	}
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := ends(newPipe(pipeBuffer, 0))
		begin := time.Now()
		_ = client.SetDeadline(begin.Add(time.Minute))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		_ = client.SetDeadline(begin.Add(2 * time.Minute))
		if _, err := client.Write(make([]byte, pipeBuffer+1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write: %v", err)
		}
		if took := time.Since(begin); took != 2*time.Minute {
			t.Fatalf("deadlines after %v", took)
		}
	})
}

func TestPipeCloseWakesReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := ends(newPipe(pipeBuffer, 0))
		read := make(chan error)
		go func() {
			_, err := client.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		_ = server.Close()
		if err := <-read; err != io.EOF {
			t.Fatal(err)
		}
	})
}

func ends(p *pipe) (client, server net.Conn) { return p.client, p.server }

func read(t *testing.T, conn net.Conn) (string, error) {
	t.Helper()
	p := make([]byte, 100)
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := conn.Read(p)
	return string(p[:n]), err
}

// A network that is away hides that the other side has closed, too.
func TestPipeFrozenHidesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(pipeBuffer, 0)
		p.suffer(faults{flow: frozen}, faults{})
		_, _ = p.client.Write([]byte("late"))
		_ = p.client.Close()
		if got, err := read(t, p.server); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := p.server.Write([]byte("message")); err != nil {
			t.Fatalf("write to a peer whose end is not known: %v", err)
		}
		p.up.suffer(faults{}, false)
		if got, err := read(t, p.server); got != "late" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if got, err := read(t, p.server); err != io.EOF {
			t.Fatalf("%q, %v", got, err)
		}
		p.suffer(faults{}, faults{})
		if _, err := p.server.Write([]byte("message")); err == nil {
			t.Fatal("wrote to a peer that is known to be gone")
		}
	})
}

func TestPipeSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(pipeBuffer, 0)
		_, _ = p.client.Write([]byte("under way"))
		p.suffer(faults{flow: swallowed}, faults{flow: swallowed})
		if got, err := read(t, p.server); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%q, %v", got, err)
		}
		p.suffer(faults{}, faults{})
		for _, conn := range []net.Conn{p.client, p.server} {
			if got, err := read(t, conn); !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("%q, %v", got, err)
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("write: %v", err)
			}
		}
	})
}

func TestPipeForgetsWhatHasEnded(t *testing.T) {
	var ps pipes
	p := newPipe(pipeBuffer, 0)
	ps.add(p)
	_, _ = p.client.Close(), p.client.Close()
	if ps.len() != 1 {
		t.Fatal("forgotten with one end open")
	}
	_ = p.server.Close()
	if ps.len() != 0 {
		t.Fatal("not forgotten")
	}
}

package redistest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipeDeliversWhatWasWrittenBeforeClose(t *testing.T) {
	client, server := newPipe()
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
		client, _ := newPipe()
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
		client, server := newPipe()
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

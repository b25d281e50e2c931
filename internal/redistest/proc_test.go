package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

type echoArgs struct {
	Greeting string
	Redis    string
}

// echoMain is the process that these tests play with.
func echoMain(ctx context.Context, p *redistest.Parent) error {
	var args echoArgs
	if err := p.Args(&args); err != nil {
		return err
	}
	fmt.Println("a line that is no answer")
	redistest.Handle(p, "echo", func(_ context.Context, word string) (string, error) {
		return args.Greeting + word, nil
	})
	redistest.Handle(p, "fail", func(context.Context, string) (int, error) {
		return 0, errors.New("as told")
	})
	redistest.Handle(p, "count", func(_ context.Context, to int) (int, error) {
		for i := range to {
			p.Emit(i)
		}
		return to, nil
	})
	redistest.Handle(p, "hang", func(ctx context.Context, _ string) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	redistest.Handle(p, "race", func(context.Context, int) (int, error) {
		fmt.Println("WARNING: DATA RACE") // as the detector says it
		return 0, nil
	})
	client := redis.NewClient(&redis.Options{Addr: args.Redis, MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	redistest.Handle(p, "set", func(ctx context.Context, key string) (string, error) {
		return client.Set(ctx, key, "value", 0).Result()
	})
	redistest.Handle(p, "exit", func(_ context.Context, code int) (int, error) {
		os.Exit(code)
		return 0, nil
	})
	err := p.Serve(ctx)
	p.Emit(-1) // the last word
	return err
}

func echo(t *testing.T, p *redistest.Proc, word string) string {
	t.Helper()
	got, err := redistest.Call[string](t.Context(), p, "echo", word)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestProcessAnswers(t *testing.T) {
	p := redistest.Process(t, "echo", echoArgs{Greeting: "hello "})
	if got := echo(t, p, "world"); got != "hello world" {
		t.Fatal(got)
	}
	if p.PID() == os.Getpid() {
		t.Fatal("not a process of its own")
	}
	if _, err := redistest.Call[int](t.Context(), p, "fail", ""); err == nil || errors.Is(err, redistest.ErrGone) {
		t.Fatalf("the child's own error: %v", err)
	}
	if _, err := redistest.Call[int](t.Context(), p, "nothing", ""); err == nil {
		t.Fatal("a call that nobody handles")
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			word := fmt.Sprint(i)
			if got, err := redistest.Call[string](t.Context(), p, "echo", word); got != "hello "+word || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func TestProcessKill(t *testing.T) {
	p := redistest.Process(t, "echo", echoArgs{})
	if _, err := redistest.Call[int](t.Context(), p, "count", 1000); err != nil {
		t.Fatal(err)
	}
	hung := make(chan error)
	go func() {
		_, err := redistest.Call[int](t.Context(), p, "hang", "")
		hung <- err
	}()
	p.Kill()
	if err := <-hung; !errors.Is(err, redistest.ErrGone) {
		t.Fatalf("a call to the dead: %v", err)
	}
	events := redistest.Events[int](p)
	if len(events) != 1000 || events[999] != 999 {
		t.Fatalf("%d events outlived the process", len(events))
	}
	if err := p.Wait(t.Context()); err == nil {
		t.Fatal("a killed process ended well")
	}
}

func TestProcessFreeze(t *testing.T) {
	p := redistest.Process(t, "echo", echoArgs{})
	echo(t, p, "")
	p.Freeze()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := redistest.Call[string](short, p, "echo", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("frozen: %v", err)
	}
	p.Thaw()
	echo(t, p, "")
	p.Freeze() // and is cleaned up
}

func TestProcessTerm(t *testing.T) {
	p := redistest.Process(t, "echo", echoArgs{})
	echo(t, p, "")
	p.Term()
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if events := redistest.Events[int](p); len(events) != 1 || events[0] != -1 {
		t.Fatalf("events %v", events)
	}
}

func TestProcessThatFails(t *testing.T) {
	p := redistest.Process(t, "echo", echoArgs{})
	if _, err := redistest.Call[int](t.Context(), p, "exit", 3); !errors.Is(err, redistest.ErrGone) {
		t.Fatalf("%v", err)
	}
	if err := p.Wait(t.Context()); err == nil {
		t.Fatal("status 3 is no error")
	}
	p.Kill() // so that the test does not fail for it
}

func TestProcessThatEndsBadlyFailsTheTest(t *testing.T) {
	for role, want := range map[string]string{"exit": "status 3", "race": "data race"} {
		failed := failure(t, func(t testing.TB) {
			p := redistest.Process(t, "echo", echoArgs{})
			_, _ = redistest.Call[int](t.Context(), p, role, 3)
		})
		if !strings.Contains(failed, want) {
			t.Errorf("%s: %q", role, failed)
		}
	}
}

// All that a process needs of a link is its address.
func TestProcessBehindALink(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, s *redistest.Server) {
		l := s.NewLink(t)
		p := redistest.Process(t, "echo", echoArgs{Redis: l.Addr()})
		ctx := t.Context()
		if _, err := redistest.Call[string](ctx, p, "set", "before"); err != nil {
			t.Fatal(err)
		}
		l.Cut()
		if _, err := redistest.Call[string](ctx, p, "set", "cut"); err == nil {
			t.Fatal("set through a cut")
		}
		l.Heal()
		redistest.Eventually(t, patience, func() error {
			_, err := redistest.Call[string](ctx, p, "set", "after")
			return err
		})
	})
}

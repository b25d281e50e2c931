package main

import (
	"context"
	"runtime"
	"sync"

	"github.com/redis/go-redis/v9"
)

// goroutinesWire is clientWire with what the work asks of any library: each caller
// waits for the outcome of its own message, and each topic has a consumer of its own,
// which holds up no other. It does nothing else.
func goroutinesWire(ctx context.Context, addr string, note func([]byte)) (*wire, error) {
	names := roomNames(topicCount)
	client, ps, err := subscriber(ctx, addr, names)
	if err != nil {
		return nil, err
	}
	var work sync.WaitGroup
	mailboxes := make(map[string]chan string, len(names))
	for _, name := range names {
		mailbox := make(chan string, mailboxSize)
		mailboxes[name] = mailbox
		work.Go(func() {
			for payload := range mailbox {
				note([]byte(payload))
			}
		})
	}
	work.Go(func() {
		for {
			m, err := ps.ReceiveMessage(ctx)
			if err != nil {
				break
			}
			mailboxes[m.Channel] <- m.Payload
		}
		for _, mailbox := range mailboxes {
			close(mailbox)
		}
	})
	s := sender{client: client, queue: make(chan sending, burst)}
	work.Go(func() { s.run(ctx) })
	return &wire{
		publish: func(topic int, payload []byte) error { return s.send(names[topic], payload) },
		dropped: func() int { return 0 },
		close: func() {
			close(s.queue)
			ps.Close()
			work.Wait()
			client.Close()
		},
	}, nil
}

// sender publishes in pipelines what many callers send.
type sender struct {
	client *redis.Client
	queue  chan sending
}

type sending struct {
	topic   string
	payload []byte
	done    chan error
}

func (s sender) send(topic string, payload []byte) error {
	m := sending{topic, payload, make(chan error, 1)}
	s.queue <- m
	return <-m.done
}

func (s sender) run(ctx context.Context) {
	var batch []sending
	for m := range s.queue {
		batch = append(batch[:0], m)
		for n := len(s.queue); n > 0 && len(batch) < burst; n-- {
			batch = append(batch, <-s.queue)
		}
		pipe := s.client.Pipeline()
		for _, m := range batch {
			pipe.Publish(ctx, m.topic, m.payload)
		}
		_, err := pipe.Exec(ctx)
		for _, m := range batch {
			m.done <- err
		}
		runtime.Gosched() // the callers may have more
	}
}

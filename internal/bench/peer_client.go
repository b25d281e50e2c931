package main

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// clientWire is the client that rollcall uses, and nothing else.
func clientWire(ctx context.Context, addr string, note func([]byte)) (*wire, error) {
	names := roomNames(topicCount)
	client, ps, err := subscriber(ctx, addr, names)
	if err != nil {
		return nil, err
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			m, err := ps.ReceiveMessage(ctx)
			if err != nil {
				return
			}
			note([]byte(m.Payload))
		}
	})
	pipe := client.Pipeline()
	return &wire{
		publish: func(topic int, payload []byte) error { return pipe.Publish(ctx, names[topic], payload).Err() },
		flush: func() error {
			_, err := pipe.Exec(ctx)
			return err
		},
		dropped: func() int { return 0 },
		close: func() {
			ps.Close()
			client.Close()
			reader.Wait()
		},
	}, nil
}

// subscriber returns a client, and a subscription of it that is confirmed.
func subscriber(ctx context.Context, addr string, names []string) (*redis.Client, *redis.PubSub, error) {
	client := redis.NewClient(&redis.Options{Addr: addr})
	ps := client.Subscribe(ctx, names...)
	for range names {
		if _, err := ps.Receive(ctx); err != nil {
			ps.Close()
			client.Close()
			return nil, nil, err
		}
	}
	return client, ps, nil
}
